//! The list of replicas that a client is given, in its text form `1=HOST:PORT,2=HOST:PORT`, and the errors of that
//! form. Knows nothing of connections.

use std::fmt;
use std::str::FromStr;

use tercet_types::{address::is_address, limits::LISTED_REPLICAS_MAX};

/// The list of the cluster that `tercet local` starts by default.
pub const DEFAULT_REPLICAS: &str = "1=127.0.0.1:5001,2=127.0.0.1:5002,3=127.0.0.1:5003";

/// A replica of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replica {
    /// The id, 1 or more.
    pub id: u32,
    /// The address for clients, `HOST:PORT`; an IPv6 host stands in brackets.
    pub address: String,
}

/// A list of 1 to [`LISTED_REPLICAS_MAX`] replicas, by ascending id. `parse` reads one from text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replicas(Vec<Replica>);

/// The fault of a list of replicas, with the wrong part.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReplicasError {
    /// The list is empty.
    #[error("the list of replicas is empty")]
    Empty,
    /// A part is not of the form `ID=HOST:PORT`.
    #[error("`{part}` in the list of replicas is not of the form ID=HOST:PORT")]
    NotAPair {
        /// The part, as it was given.
        part: String,
    },
    /// An id is not a whole number from 1.
    #[error("`{id}` in `{part}` is not a replica id: a whole number from 1")]
    BadId {
        /// The id, as it was given.
        id: String,
        /// The part with the id.
        part: String,
    },
    /// An address is not of the form `HOST:PORT`.
    #[error("`{address}` in `{part}` is not an address of the form HOST:PORT")]
    BadAddress {
        /// The address, as it was given.
        address: String,
        /// The part with the address.
        part: String,
    },
    /// A port is not a number from 1 to 65535.
    #[error("`{port}` in `{part}` is not a port from 1 to 65535")]
    BadPort {
        /// The port, as it was given.
        port: String,
        /// The part with the port.
        part: String,
    },
    /// An id is in the list twice.
    #[error("replica {id} is in the list twice")]
    DuplicateId {
        /// The id.
        id: u32,
    },
    /// An address is in the list twice.
    #[error("the address {address} is in the list twice")]
    DuplicateAddress {
        /// The address.
        address: String,
    },
    /// The list has more than [`LISTED_REPLICAS_MAX`] replicas.
    #[error("the list names more than {LISTED_REPLICAS_MAX} replicas")]
    TooMany,
}

impl Replicas {
    /// Iterates over the replicas, by ascending id.
    pub fn iter(&self) -> std::slice::Iter<'_, Replica> {
        self.0.iter()
    }

    /// Returns the number of replicas, at least 1.
    #[allow(clippy::len_without_is_empty)] // never empty
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns the address of the replica with this id, if it is in the list.
    pub fn address(&self, id: u32) -> Option<&str> {
        let found = self.0.iter().find(|replica| replica.id == id)?;
        Some(&found.address)
    }

    /// Makes a list of these replicas, in any order. Does not check the form of their addresses.
    ///
    /// # Errors
    /// The list is empty or too long, or has an id or an address twice.
    pub fn from_parts(mut list: Vec<Replica>) -> Result<Replicas, ReplicasError> {
        if list.is_empty() {
            return Err(ReplicasError::Empty);
        }
        if list.len() > LISTED_REPLICAS_MAX {
            return Err(ReplicasError::TooMany);
        }
        list.sort_by_key(|replica| replica.id);
        for (index, replica) in list.iter().enumerate() {
            for other in &list[..index] {
                if other.id == replica.id {
                    return Err(ReplicasError::DuplicateId { id: replica.id });
                }
                if other.address == replica.address {
                    let address = replica.address.clone();
                    return Err(ReplicasError::DuplicateAddress { address });
                }
            }
        }
        Ok(Replicas(list))
    }
}

impl fmt::Display for Replicas {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, replica) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(f, "{comma}{}={}", replica.id, replica.address)?;
        }
        Ok(())
    }
}

impl FromStr for Replicas {
    type Err = ReplicasError;

    fn from_str(text: &str) -> Result<Replicas, ReplicasError> {
        if text.trim().is_empty() {
            return Err(ReplicasError::Empty);
        }
        let parts: Result<Vec<_>, _> = text.split(',').map(parse_part).collect();
        Replicas::from_parts(parts?)
    }
}

fn parse_part(part: &str) -> Result<Replica, ReplicasError> {
    let part = part.trim();
    let Some((id, address)) = part.split_once('=') else {
        let part = part.to_owned();
        return Err(ReplicasError::NotAPair { part });
    };
    let (id, address) = (id.trim(), address.trim());
    let bad_id = || ReplicasError::BadId {
        id: id.to_owned(),
        part: part.to_owned(),
    };
    let id: u32 = id.parse().map_err(|_| bad_id())?;
    if id == 0 {
        return Err(bad_id());
    }
    check_address(address, part)?;
    let address = address.to_owned();
    Ok(Replica { id, address })
}

/// Checks an address. A wrong port is an error of its own.
fn check_address(address: &str, part: &str) -> Result<(), ReplicasError> {
    if is_address(address) {
        return Ok(());
    }
    let part = part.to_owned();
    Err(match address.rsplit_once(':') {
        Some((host, port)) if is_address(&format!("{host}:1")) => ReplicasError::BadPort {
            port: port.to_owned(),
            part,
        },
        _ => ReplicasError::BadAddress {
            address: address.to_owned(),
            part,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Replicas, ReplicasError> {
        text.parse()
    }

    #[test]
    fn a_list_is_read_in_any_order_and_written_by_id() {
        let list = parse(" 3=c.example:7, 1=127.0.0.1:5001,2=[::1]:5002 ").unwrap();
        assert_eq!(
            list.to_string(),
            "1=127.0.0.1:5001,2=[::1]:5002,3=c.example:7"
        );
        assert_eq!(list.address(3), Some("c.example:7"));
        assert_eq!(list.address(4), None);
    }

    #[test]
    fn the_defaults_are_a_good_list() {
        assert_eq!(parse(DEFAULT_REPLICAS).unwrap().len(), 3);
    }

    #[test]
    fn an_empty_list_is_an_error() {
        assert_eq!(parse(""), Err(ReplicasError::Empty));
        assert_eq!(parse("  "), Err(ReplicasError::Empty));
    }

    #[test]
    fn each_error_names_the_bad_part() {
        let message = |text| parse(text).unwrap_err().to_string();
        assert!(message("1=a:1,b:2").contains("`b:2`"));
        assert!(message("1=a:1,").contains("``"));
        assert!(message("x=a:1").contains("`x` in `x=a:1`"));
        assert!(message("0=a:1").contains("`0`"));
        assert!(message("1=localhost").contains("`localhost`"));
        assert!(message("1=:5001").contains("`:5001`"));
        assert!(message("1=::1:5001").contains("`::1:5001`"));
        assert!(message("1=http://a:5001").contains("HOST:PORT"));
        assert!(message("1=a:0").contains("`0` in `1=a:0`"));
        assert!(message("1=a:65536").contains("`65536`"));
        assert!(message("1=a:+1").contains("`+1`"));
        assert!(message("1=a:1,1=b:1").contains("replica 1"));
        assert!(message("1=a:1,2=a:1").contains("a:1 is in the list twice"));
    }
}
