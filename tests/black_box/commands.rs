//! The small commands, and how commands end.

use switchboard::simulator::{Simulator, SimulatorConfig};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

use crate::gateway::{Mode, Setup, own_address, telegram};
use crate::program::{Program, run};
use crate::steps::{Hands, call, http, write};
use crate::web::Web;
use crate::{BOT, PATIENCE};

#[tokio::test]
async fn tail_gives_up_what_cannot_succeed_and_says_by_its_exit_code_why() {
    let telegram = telegram().await;
    let data = tempfile::tempdir().unwrap();
    let setup = Setup::new(data.path(), &telegram, Mode::Polling)
        .with("SWITCHBOARD_ACCESS_TOKEN", "let_me_very_secret_part");
    let gateway = setup.start().await;
    let address = format!("http://{}", gateway.grpc);
    let wrong = data.path().join("wrong");
    let right = data.path().join("right");
    std::fs::write(&wrong, "another").unwrap();
    std::fs::write(&right, "let_me_very_secret_part").unwrap();
    let [wrong, right] = [&wrong, &right].map(|file| file.to_str().unwrap());
    let right = ["tail", "--address", &address, "--access-token-file", right];
    for (args, code, said) in [
        ([&right[..], &["--group", "Bad Name"]].concat(), 2, "`group` may have only"),
        ([&right[..], &["--bot", "nobody"]].concat(), 5, "there is no bot `nobody`"),
        ([&right[..], &["--forward-to", "localhost:3000"]].concat(), 2, "give it as http://HOST:PORT/PATH"),
        (vec!["tail", "--address", &address, "--access-token-file", wrong], 8, "access token"),
        (vec!["tail", "--address", &address], 8, "access token"),
        (vec!["tail", "--address", "ftp://127.0.0.1:1"], 2, "plain HTTP/2 only"),
        (vec!["tail", "--address", "http://127.0.0.1:99999"], 2, "no port from 1 to 65535"),
        (vec!["tail", "--address", "http://no-such-host.invalid:1"], 2, "the host cannot be found"),
    ] {
        let ended = run(&args).await;
        assert_eq!(ended.code, Some(code), "{args:?}: {ended:?}");
        assert!(ended.err.contains(said), "{args:?}: {ended:?}");
    }
    gateway.stop().await;
}

#[tokio::test]
async fn a_port_of_something_else_is_said_to_have_no_grpc_listener() {
    let telegram = telegram().await;
    let data = tempfile::tempdir().unwrap();
    let gateway = Setup::new(data.path(), &telegram, Mode::Polling).start().await;
    let web = Web::start(|_| Some((200, ""))).await;
    for place in [format!("http://{}", gateway.ops), telegram.url(), format!("http://{}", web.address)] {
        let ended = run(&["groups", "--address", &place]).await;
        assert_eq!(ended.code, Some(7), "{ended:?}");
        let words = format!("no gRPC listener answers at {place}");
        assert!(ended.err.contains(&words) && ended.err.contains("port 50051"), "{ended:?}");
        let tail = Program::start(&["tail", "--address", &place]);
        tail.says(&words).await;
    }
    gateway.stop().await;
}

#[tokio::test]
async fn a_demo_that_nobody_reads_ends_quietly_as_if_by_sigpipe() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_switchboard"));
    command.args(["demo", "--duration", "1h"]).kill_on_drop(true);
    command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let mut process = command.spawn().unwrap();
    let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
    assert!(lines.next_line().await.unwrap().unwrap().contains("A simulated Telegram"));
    drop(lines);
    let ended = tokio::time::timeout(PATIENCE, process.wait_with_output()).await.unwrap().unwrap();
    assert_eq!(String::from_utf8_lossy(&ended.stderr), "");
    assert_eq!(ended.status.code(), Some(141));
}

#[tokio::test]
async fn a_tail_that_nobody_reads_ends_quietly_on_whatever_stream() {
    let telegram = telegram().await;
    let data = tempfile::tempdir().unwrap();
    let gateway = Setup::new(data.path(), &telegram, Mode::Polling).start().await;
    let address = format!("http://{}", gateway.grpc);
    write(&telegram, 1, &["one", "two", "three"]).await;
    let (read, written) = std::io::pipe().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_switchboard"));
    command.args(["tail", "--address", &address, "--group", "web", "--start", "earliest"]).kill_on_drop(true);
    command.stdout(written.try_clone().unwrap()).stderr(written);
    let mut process = command.spawn().unwrap();
    // What the command holds of the pipe is its own.
    drop((command, read));
    let ended = tokio::time::timeout(PATIENCE, process.wait()).await.unwrap().unwrap();
    assert_eq!(ended.code(), Some(141));
    gateway.stop().await;
}

#[tokio::test]
async fn what_looks_like_a_token_is_not_repeated() {
    for args in [
        &["serve", "123456789:AAH-very_secret_part"][..],
        &["123456789:AAH-very_secret_part"],
        &["serve", "--mode", "123456789:AAH-very_secret_part"],
        &["check", "--mode", "123456789:AAH-very_secret_part"],
        &["tail", "--address", "ftp://123456789:AAH-very_secret_part"],
        &["tail", "--count", "123456789:AAH-very_secret_part"],
        &["trigger", "123456789:AAH-very_secret_part"],
    ] {
        let ended = run(args).await;
        assert_eq!(ended.code, Some(2), "{args:?}: {ended:?}");
        assert!(!(ended.err + &ended.out).contains("very_secret"), "{args:?}");
    }
    assert!(run(&["serve", "42:very_secret_part"]).await.err.contains("TELEGRAM_BOT_TOKEN"));
}

#[tokio::test]
async fn simulate_has_exit_code_2_for_wrong_values_and_3_for_a_port_in_use() {
    let taken = telegram().await;
    for (args, code) in [
        (["simulate", "--listen=127.0.0.1:0", "--rate=-1"], 2),
        (["simulate", "--listen=127.0.0.1:0", "--chats=0"], 2),
        (["simulate", "--listen=127.0.0.1:0", "--updates=/nowhere.jsonl"], 2),
        (["simulate", "--idle", &format!("--listen={}", taken.addr())], 3),
    ] {
        let ended = run(&args).await;
        assert_eq!(ended.code, Some(code), "{args:?}: {ended:?}");
    }
}

#[tokio::test]
async fn a_sigterm_that_comes_twice_at_once_stops_in_order() {
    let telegram = telegram().await;
    let data = tempfile::tempdir().unwrap();
    let gateway = Setup::new(data.path(), &telegram, Mode::Polling).start().await;
    let mut hands = Hands::join(gateway.grpc, "orders").await;
    write(&telegram, 1, &["out"]).await;
    let out = hands.deliveries(1).await;
    gateway.terminate();
    gateway.says("asked to stop").await;
    gateway.terminate();
    hands.ack(&out).await;
    let (code, log) = gateway.ended().await;
    assert_eq!(code, Some(0), "{log:#?}");
}

#[tokio::test]
async fn completions_know_the_commands_and_the_samples() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ended = run(&["completions", shell]).await;
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert!(ended.out.contains("forward-to"), "{shell}");
        // The other shells get no values of arguments without a name.
        let values = matches!(shell, "bash" | "zsh");
        assert!(!values || ended.out.contains("message.photo"), "{shell}");
    }
    assert_eq!(run(&["completions", "csh"]).await.code, Some(2));
}

#[tokio::test]
async fn a_triggered_update_reaches_the_handlers() {
    let telegram = telegram().await;
    let url = telegram.url();
    let ended = run(&["trigger", "message.text", "--simulator", &url]).await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.err.contains("no bot has called the simulator yet"), "{ended:?}");

    let data = tempfile::tempdir().unwrap();
    let gateway = Setup::new(data.path(), &telegram, Mode::Polling).start().await;
    gateway.until(|bot| bot["connected"] == true).await;
    let mut hands = Hands::join(gateway.grpc, "orders").await;
    let trigger = async |args: &[&str]| {
        let ended = run(&[&["trigger", "--simulator", &url], args].concat()).await;
        assert_eq!(ended.code, Some(0), "{args:?}: {ended:?}");
        ended.out
    };
    let said = trigger(&["message.text", "--chat", "42", "--text", "привет", "--count", "2"]).await;
    assert!(said.contains("message.text queued for bot 42: updates "), "{said}");
    let mut numbers = Vec::new();
    for _ in 0..2 {
        let got = hands.deliveries(1).await;
        let update = got[0].update.as_ref().unwrap();
        assert_eq!((update.kind.as_str(), update.chat_id, update.user_id), ("message", Some(42), Some(42)));
        let json: serde_json::Value = serde_json::from_str(&update.json).unwrap();
        assert_eq!(json["message"]["text"], "привет");
        numbers.push(json["message"]["message_id"].as_i64().unwrap());
        hands.ack(&got).await;
    }
    assert_eq!(numbers[1], numbers[0] + 1);
    trigger(&["callback_query", "--chat", "-100123", "--user", "7", "--data", "yes"]).await;
    let got = hands.deliveries(1).await;
    assert_eq!(got[0].ordering_key, "chat:-100123");
    assert!(got[0].update.as_ref().unwrap().json.contains(r#""data":"yes""#));
    hands.ack(&got).await;

    // Telegram sends reactions only to those who ask for them.
    let reaction = ["trigger", "message_reaction", "--simulator", &url];
    let ended = run(&reaction).await;
    let bot_info = call(&telegram, "getWebhookInfo").await;
    assert_eq!(ended.code, Some(1), "{ended:?} {bot_info}");
    assert!(ended.err.contains("bot 42 has not asked for message_reaction"), "{ended:?}");
    trigger(&["message_reaction", "--unasked", "--bot-id", "42"]).await;
    assert_eq!(hands.deliveries(1).await[0].update.as_ref().unwrap().kind, "message_reaction");
    drop(hands);

    // A second bot makes it unclear which is meant.
    http().get(format!("{url}/bot{}:x/getMe", BOT + 1)).send().await.unwrap();
    let ended = run(&["trigger", "poll_answer", "--simulator", &url]).await;
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.err.contains("--bot-id"), "{ended:?}");
    gateway.stop().await;
}

#[tokio::test]
async fn a_trigger_that_makes_no_sense_says_what_does() {
    let listed = run(&["trigger", "--list"]).await;
    assert!(listed.out.lines().count() > 40, "{listed:?}");
    assert!(listed.out.contains("poll_answer") && listed.out.contains("(--user)"), "{listed:?}");
    let nobody = format!("http://{}", own_address());
    let stranger = telegram().await;
    let elsewhere = format!("{}/botx", stranger.url());
    for (args, code, said) in [
        (vec!["trigger", "message.txt"], 2, "did you mean `message.text`?"),
        (vec!["trigger"], 2, "required"),
        (vec!["trigger", "poll_answer", "--text", "x"], 2, "poll_answer has no text; it takes user"),
        (vec!["trigger", "message.text", "--chat", "0"], 2, "a user's or negative"),
        (vec!["trigger", "message.text", "--simulator", "localhost:8081"], 2, "--simulator localhost:8081"),
        (vec!["trigger", "message.text", "--simulator", &nobody], 1, "start one with `switchboard simulate`"),
        (vec!["trigger", "message.text", "--simulator", &elsewhere], 1, "is no simulator"),
    ] {
        let ended = run(&args).await;
        assert_eq!(ended.code, Some(code), "{args:?}: {ended:?}");
        assert!(ended.err.contains(said), "{args:?}: {ended:?}");
    }
}

#[tokio::test]
async fn every_sample_is_understood_by_the_simulator() {
    let listen = ([127, 0, 0, 1], 0).into();
    let simulator = Simulator::start(SimulatorConfig { listen, ..SimulatorConfig::default() }).await.unwrap();
    let listed = run(&["trigger", "--list"]).await.out;
    let names: Vec<_> = listed.lines().map(|line| line.split_whitespace().next().unwrap()).collect();
    for name in &names {
        let ended =
            run(&["trigger", name, "--simulator", &simulator.url(), "--bot-id", "42", "--unasked"]).await;
        assert_eq!(ended.code, Some(0), "{name}: {ended:?}");
    }
    assert_eq!(simulator.counts(BOT).accepted, names.len() as u64);
}
