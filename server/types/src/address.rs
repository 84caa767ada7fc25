//! Addresses as text: `HOST:PORT`.

use std::net::Ipv6Addr;

/// Bytes of an address: a host name has at most 253.
const ADDRESS_BYTES_MAX: usize = 262;

/// Tells whether a text has the form `HOST:PORT`; an IPv6 host is in brackets.
#[must_use]
pub fn is_address(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else {
        return false;
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    let bracketed = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let host_is_good = match bracketed {
        Some(ipv6) => ipv6.parse::<Ipv6Addr>().is_ok(),
        None => !host.is_empty() && host.chars().all(plain),
    };
    let digits = port.bytes().all(|byte| byte.is_ascii_digit());
    let port_is_good = digits && port.parse::<u16>().is_ok_and(|port| port > 0);
    text.len() <= ADDRESS_BYTES_MAX && host_is_good && port_is_good
}

/// Tells whether an address means every address of a machine: good for listening, useless for others. Covers
/// the short forms that resolvers accept, such as `0` and `0.0`.
#[must_use]
pub fn is_unspecified(address: &str) -> bool {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let is_zero = |part: &str| {
        let part = part.trim_start_matches("0x").trim_start_matches("0X");
        !part.is_empty() && part.bytes().all(|byte| byte == b'0')
    };
    let mapped = |ip: Ipv6Addr| ip.to_ipv4_mapped().is_some_and(|ip| ip.is_unspecified());
    match bare.parse::<Ipv6Addr>() {
        Ok(ip) => ip.is_unspecified() || mapped(ip),
        Err(_) => bare.split('.').count() <= 4 && bare.split('.').all(is_zero),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_host_and_a_port() {
        for good in [
            "a:1",
            "10.0.0.1:5001",
            "[::1]:65535",
            "tercet-1.example.org:5001",
        ] {
            assert!(is_address(good), "{good}");
        }
        let long = format!("{}:1", "a".repeat(300));
        for bad in [
            "", "a", ":1", "a:", "a:0", "a:65536", "a:+1", "::1:5", "a b:1", &long,
        ] {
            assert!(!is_address(bad), "{bad}");
        }
    }
}
