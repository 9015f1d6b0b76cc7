//! A release of the Helm chart upgraded to other values: what its pods are configured with, one after the other, over the
//! kept volume.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use switchboard::grpc::proto::client::SettleCode;

use crate::BOT;
use crate::gateway::{Mode, Setup, telegram};
use crate::steps::{Hands, texts, write};
use crate::tools::tool;

/// Where the chart mounts the secrets.
const SECRETS: &str = "/run/secrets/switchboard";

#[tokio::test]
async fn p2_p4_an_upgrade_over_the_kept_volume_loses_nothing_and_says_what_handlers_still_have() {
    let Some(helm) = tool("install-helm-tools", "tools/bin/helm3") else { return };
    let telegram = telegram().await;
    let volume = tempfile::tempdir().unwrap();
    let pod = |values: &str| {
        let config = configuration(&helm, values, volume.path());
        let setup = Setup::new(volume.path(), &telegram, Mode::Polling);
        setup.with("SWITCHBOARD_CONFIG", config.to_str().unwrap())
    };

    let gateway = pod("before").start().await;
    let mut hands = Hands::join(gateway.grpc, "orders").await;
    write(&telegram, 1, &["done", "held", "behind it"]).await;
    write(&telegram, 2, &["waits"]).await;
    let got = hands.deliveries(2).await;
    let (first, waits): (Vec<_>, Vec<_>) =
        got.into_iter().partition(|delivery| delivery.ordering_key == "chat:1");
    assert_eq!(hands.ack(&first).await, [SettleCode::Applied]);
    let held = hands.deliveries(1).await;
    assert_eq!((texts(&held), texts(&waits)), (vec!["held".to_owned()], vec!["waits".to_owned()]));
    gateway.terminate();
    let (code, log) = gateway.ended().await;
    assert_eq!(code, Some(0), "{log:#?}");
    let report = log.iter().find(|line| line.contains("stopped while handlers have updates")).unwrap();
    let report: Value = serde_json::from_str(report).unwrap();
    assert_eq!((&report["outstanding"], &report["unsettled"]), (&2.into(), &3.into()), "{report}");
    write(&telegram, 3, &["meanwhile"]).await;

    let gateway = pod("after").start().await;
    let mut hands = Hands::join(gateway.grpc, "orders").await;
    let again = hands.deliveries(3).await;
    assert_eq!(texts(&again), ["held", "meanwhile", "waits"], "and not what was acknowledged");
    assert!(again.iter().all(|delivery| delivery.failures == 0), "an upgrade is nobody's failure");
    assert_eq!(hands.ack(&again).await, [SettleCode::Applied; 3]);
    assert_eq!(texts(&hands.deliveries(1).await), ["behind it"]);
    // The new values hold: a group that they declare is there before anybody joins it.
    let audit = crate::console::group(&gateway, "audit").await;
    assert_eq!(audit["settings"]["maxFailures"], 9, "{audit}");
    drop(hands);
    gateway.kill().await;
}

/// Writes what the chart's ConfigMap holds, with the secrets where the test can put them.
fn configuration(helm: &Path, values: &str, volume: &Path) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut template = Command::new(helm);
    template.args(["template", "release"]).arg(root.join("helm/switchboard"));
    template.arg("--values").arg(root.join(format!("tests/fixtures/chart/{values}.yaml")));
    let output = template.args(["--show-only", "templates/configmap.yaml"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let map = String::from_utf8(output.stdout).unwrap();
    let (_, block) = map.split_once("  switchboard.toml: |\n").unwrap();
    let secrets = volume.join("secrets");
    std::fs::create_dir_all(secrets.join("bots/default")).unwrap();
    std::fs::write(secrets.join("bots/default/token"), format!("{BOT}:very_secret_part")).unwrap();
    let toml: Vec<_> = block.lines().map(|line| line.strip_prefix("    ").unwrap_or_default()).collect();
    let toml = toml.join("\n").replace(SECRETS, secrets.to_str().unwrap());
    assert!(toml.contains("[bots.default]") && toml.contains("token_file"), "{toml}");
    let path = volume.join(format!("{values}.toml"));
    std::fs::write(&path, toml).unwrap();
    path
}
