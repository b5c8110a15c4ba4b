//! The pages for machines.

use std::io::{Read, Write};

use fleuve_server::{ListenerConfig, ServerConfig};

use crate::world::{World, config, socket};

fn world() -> World {
    let listeners = vec![ListenerConfig::plain("kafka", "127.0.0.1:0")];
    World::new(ServerConfig { listeners, http: Some("127.0.0.1:0".to_owned()), ..config() })
}

/// All that comes back.
fn get(world: &World, request: &str) -> String {
    let mut stream = socket(world.address(1));
    stream.write_all(request.as_bytes()).expect("is sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("is text");
    answer
}

#[test]
fn health_and_readiness_are_told() {
    let world = world();
    for path in ["/health", "/ready"] {
        let answer = get(&world, &format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n"));
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\nok\n"), "{answer}");
    }
}

#[test]
fn metrics_count_requests_and_show_the_log() {
    let world = world();
    world.broker.log().create_topic("orders", 2, Default::default()).expect("is new");
    world.connect().assert_served();
    let answer = get(&world, "GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n");
    for line in [
        "fleuve_requests_total{api=\"ApiVersions\"} 1",
        "fleuve_request_seconds_count{api=\"other\"} 1",
        "fleuve_log_end_offset{topic=\"orders\",partition=\"1\"} 0",
        "fleuve_log_full 0",
        "# TYPE fleuve_log_sync_seconds histogram",
        "# TYPE fleuve_group_lag gauge",
    ] {
        assert!(answer.lines().any(|found| found == line), "{line} in {answer}");
    }
}

#[test]
fn other_requests_are_refused() {
    let world = world();
    assert!(get(&world, "GET /etc/passwd HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 404 "));
    assert!(get(&world, "POST /metrics HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 405 "));
    assert!(get(&world, "\0\0\0\x0a\r\n\r\n").starts_with("HTTP/1.1 400 "));
    assert!(get(&world, "HEAD /ready HTTP/1.1\r\n\r\n").ends_with("\r\n\r\n"));
}
