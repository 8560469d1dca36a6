//! What the gateway says at its edges: of generations, of queries that it cannot read, of refusals, of the end.

use std::time::Duration;

use hypostyle::{Schedule, Simulation, System, Workers, Write};
use hypostyle_gateway::Tokens;
use serde_json::json;

use super::client::{Came, Client, Socket, get, json_of, request};
use super::{Position, Serving, world};

#[test]
fn generation_frame_and_time_are_of_one_generation() {
    let mut schedule = Schedule::new();
    schedule.add(System::rows::<Write<Position>>("move", |_, mut p| p.y.map_with(&p.x, |y, x| y + x)));
    let mut simulation = Simulation::builder().workers(Workers::Local).build(world(10), schedule).unwrap();
    for _ in 0..5 {
        simulation.step(0.5).unwrap();
    }
    let generation = simulation.world().generation();
    // nobody has looked yet
    let serving = Serving::of(simulation.world(), |_| {});
    let told = |value: &serde_json::Value| (value["generation"].clone(), value["frame"].clone(), value["time"].clone());
    let right = (json!(generation), json!(5), json!(2.5));
    assert_eq!(told(&get(serving.address, "/healthz").json()), right);
    assert_eq!(told(&get(serving.address, "/layout").json()), right);
    let mut socket = Socket::open(serving.address, "/live", "").unwrap();
    assert_eq!(told(&json_of(&socket.expect(1))), right);
    assert_eq!((serving.metric("generation"), serving.metric("frame")), (generation, 5));
    // what is published later is noticed without a look
    simulation.step(0.5).unwrap();
    serving.wait_for("generation", generation + 1);
    assert_eq!(told(&get(serving.address, "/healthz").json()), (json!(generation + 1), json!(6), json!(3.0)));
}

#[test]
fn a_query_that_cannot_be_read_is_refused() {
    let world = world(10);
    let serving = Serving::of(&world, |options| options.timeline = Some(std::sync::Arc::new(|_, _| None)));
    for (path, why) in [
        ("/snapshot.bin?columns=%zz", "cannot be decoded"),
        ("/snapshot.bin?columns=position%ff", "cannot be decoded"),
        ("/snapshot.bin?columns=", "empty name"),
        ("/snapshot.bin?columns", "empty name"),
        ("/snapshot.bin?colums=position", "no parameter `colums`"),
        ("/snapshot.bin?columns=position&columns=hot", "twice"),
        ("/snapshot.bin?columns=nothing", "nothing"),
        ("/timeline?frames=many", "1 to 1000"),
        ("/timeline?frames=0", "1 to 1000"),
        ("/timeline?frame=3", "no parameter `frame`"),
    ] {
        let answer = get(serving.address, path);
        let error = answer.json()["error"].as_str().unwrap_or_default().to_owned();
        assert!(answer.status == 400 && error.contains(why), "{path}: {} {error}", answer.status);
    }
    if cfg!(feature = "export") {
        assert_eq!(get(serving.address, "/snapshot?columns=%zz").status, 400);
    }
    assert_eq!(get(serving.address, "/snapshot.bin?columns=position,hot&token=any").status, 200);
}

#[test]
fn each_side_s_close_is_answered() {
    let world = world(10);
    let layout = world.layout().clone();
    let serving = Serving::of(&world, |_| {});
    let mut client = Client::open(serving.address, json!({}));
    client.catch_up(1, &layout);
    client.socket.frame(0x88, &[&1000u16.to_be_bytes()[..], b"bye"].concat());
    assert_eq!(client.socket.end(), (1000, None), "the Close comes back");
    assert_eq!(client.socket.receive(), Came::Broken, "and then the connection ends");
    serving.wait_for("clients", 0);
    // before anything was said, too
    let mut socket = Socket::open(serving.address, "/live", "").unwrap();
    socket.frame(0x88, &1000u16.to_be_bytes());
    assert_eq!(socket.end(), (1000, None));
    // whoever still sends hears the server's end
    let mut socket = Socket::open(serving.address, "/live", "").unwrap();
    socket.expect(1);
    socket.frame(0x81, b"text");
    for _ in 0..50 {
        socket.send(0x83, &1u64.to_le_bytes());
    }
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!(socket.end(), (1002, Some(3)));
}

#[test]
fn refusals_can_be_told_apart_by_whoever_asks() {
    let world = world(10);
    let serving = Serving::of(&world, |options| {
        options.tokens = Some(Tokens::new(vec!["a secret token".to_owned()]).unwrap());
        options.origins = vec!["https://lab.example".to_owned()];
        options.clients_max = 1;
    });
    let ask = |more: &str| request(serving.address, "GET", "/live", more);
    let bearer = "Authorization: Bearer a secret token\r\n";
    let (lab, evil) = ("Origin: https://lab.example\r\n", "Origin: https://evil.example\r\n");
    assert_eq!(ask("").status, 401);
    assert_eq!(ask(bearer).status, 426, "an upgrade is all that is missing");
    // pages of listed origins may read answers; of others the refusal alone
    let readable = |answer: &super::client::Answer| answer.header("access-control-allow-origin").map(str::to_owned);
    assert_eq!(readable(&ask(bearer)), None);
    assert_eq!(readable(&ask(&format!("{bearer}{lab}"))).as_deref(), Some("https://lab.example"));
    let refused = ask(&format!("{bearer}{evil}"));
    assert_eq!((refused.status, readable(&refused).as_deref()), (403, Some("https://evil.example")));
    assert!(refused.json()["error"].as_str().unwrap().contains("origin"));
    // a token that is wrong is another thing than an origin that is
    let unknown = ask(&format!("Authorization: Bearer another token\r\n{lab}"));
    assert_eq!((unknown.status, readable(&unknown).as_deref()), (401, Some("https://lab.example")));
    assert_eq!(unknown.header("www-authenticate"), Some("Bearer"));
    assert!(unknown.json()["error"].as_str().unwrap().contains("token"));
    let _held = Socket::open(serving.address, "/live", bearer).unwrap();
    let full = ask(bearer);
    assert_eq!((full.status, full.header("retry-after")), (503, Some("5")));
    assert!(full.json()["error"].as_str().unwrap().contains("1 clients already"));
}

#[test]
fn pages_of_listed_origins_learn_what_they_may_send() {
    let world = world(10);
    let serving = Serving::of(&world, |options| {
        options.tokens = Some(Tokens::new(vec!["a secret token".to_owned()]).unwrap());
        options.origins = vec!["https://lab.example/".to_owned()];
        options.steer = true;
    });
    let ask = |path: &str, more: &str| request(serving.address, "OPTIONS", path, more);
    let wants = "Access-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: authorization,content-type\r\n";
    let lab = format!("Origin: https://lab.example\r\n{wants}");
    for path in
        ["/layout", "/snapshot", "/snapshot.bin", "/timeline", "/steering", "/metrics", "/healthz", "/live", "/"]
    {
        // without a token: browsers send none with such a question
        let answer = ask(path, &lab);
        assert_eq!((answer.status, answer.body.len()), (204, 0), "{path}");
        assert_eq!(answer.header("access-control-allow-origin"), Some("https://lab.example"), "{path}");
        assert_eq!(answer.header("access-control-allow-methods"), Some("GET, HEAD, POST"));
        let headers = answer.header("access-control-allow-headers").unwrap();
        assert!(headers.contains("authorization") && headers.contains("content-type"), "{headers}");
        let vary: Vec<&str> =
            answer.head.lines().filter(|line| line.to_ascii_lowercase().starts_with("vary:")).collect();
        assert!(vary.iter().any(|line| line.contains("origin")), "{vary:?}");
    }
    // others learn nothing, and a question that is none is a request like any other
    let evil = ask("/steering", &format!("Origin: https://evil.example\r\n{wants}"));
    assert_eq!((evil.status, evil.header("access-control-allow-methods")), (403, None));
    let host = ask("/steering", &format!("Host: evil.example\r\nOrigin: http://evil.example\r\n{wants}"));
    assert_eq!(host.status, 403);
    assert_eq!(ask("/steering", "Origin: https://lab.example\r\n").status, 401);
    assert_eq!(ask("/healthz", "").status, 405);
}
