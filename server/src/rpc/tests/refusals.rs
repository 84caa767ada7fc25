//! Requests that the transport refuses: each with the reason and what to do, and never as a failure of
//! this replica.

use tonic::{
    Code, Status,
    body::Body,
    codegen::{Service as _, http},
};

use super::*;

/// Sends these bytes as a call of `path`, and gives the status in the headers of the response.
async fn refused(channel: &Channel, path: &str, encoding: &str, bytes: &str) -> Status {
    let request = http::Request::post(format!("http://localhost{path}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("grpc-encoding", encoding)
        .body(Body::new(bytes.to_owned()))
        .unwrap();
    let mut channel = channel.clone();
    std::future::poll_fn(|context| channel.poll_ready(context))
        .await
        .unwrap();
    let response = channel.call(request).await.unwrap();
    Status::from_header_map(response.headers()).expect("the headers hold a status")
}

fn reason(status: &Status) -> (Code, String) {
    let info = status.get_details_error_info();
    let info = info.unwrap_or_else(|| panic!("no reason: {status:?}"));
    assert_eq!(info.domain, "tercet");
    assert!(!status.message().is_empty());
    (status.code(), info.reason)
}

#[tokio::test]
async fn requests_that_do_not_decode_are_refused_with_a_reason() {
    let replica = Replica::start().await;
    let channel = replica.channel().await;
    let login = "/tercet.v1.ChatService/Login";
    let cases = [
        // A field that says it is longer than the message.
        ("identity", "\0\0\0\0\x02\x0a\x7f"),
        // A wire type that does not exist.
        ("identity", "\0\0\0\0\x01\x0f"),
        // Half a frame, half a header, and none.
        ("identity", "\0\0\0\0\x05ab"),
        ("identity", "\0\0"),
        ("identity", ""),
        // A flag that is none; compressed, without an encoding.
        ("identity", "\x07\0\0\0\0"),
        ("identity", "\x01\0\0\0\x01a"),
    ];
    for (encoding, bytes) in cases {
        let status = refused(&channel, login, encoding, bytes).await;
        let expected = (Code::InvalidArgument, "INVALID_REQUEST".to_owned());
        assert_eq!(reason(&status), expected, "{bytes:?}: {status:?}");
    }
    let status = refused(&channel, login, "gzip", "\0\0\0\0\0").await;
    let expected = (Code::Unimplemented, "COMPRESSED_REQUEST".to_owned());
    assert_eq!(reason(&status), expected, "{status:?}");
    let status = refused(&channel, login, "identity", "\0\x7f\0\0\0").await;
    let expected = (Code::OutOfRange, "REQUEST_TOO_LARGE".to_owned());
    assert_eq!(reason(&status), expected, "{status:?}");
    assert!(status.message().contains("2 MiB"), "{status:?}");
}

#[tokio::test]
async fn calls_that_do_not_exist_are_refused_with_a_reason() {
    let replica = Replica::start().await;
    let channel = replica.channel().await;
    for path in [
        "/tercet.v1.ChatService/Sing",
        "/tercet.v1.Nobody/Login",
        "/tercet.peer.v1.PeerService/DescribeLog",
        "/",
    ] {
        let status = refused(&channel, path, "identity", "\0\0\0\0\0").await;
        let expected = (Code::Unimplemented, "UNKNOWN_METHOD".to_owned());
        assert_eq!(reason(&status), expected, "{path}: {status:?}");
    }
}
