//! Ports and data directories that cannot be used: each with its exit code, and what to do.

use std::net::TcpListener;
use std::path::Path;

use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use crate::gateway::{Mode, Setup, telegram};

#[tokio::test]
async fn a_port_in_use_is_named_whichever_of_the_three_it_is() {
    let telegram = telegram().await;
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let keys = [
        ("SWITCHBOARD_GRPC_LISTEN", "grpc.listen"),
        ("SWITCHBOARD_PUBLIC_LISTEN", "public.listen"),
        ("SWITCHBOARD_OPS_LISTEN", "ops.listen"),
    ];
    for (variable, key) in keys {
        let data = tempfile::tempdir().unwrap();
        let setup = Setup::new(data.path(), &telegram, Mode::Webhook).with(variable, &address);
        setup.is_refused(3, &["cannot listen on", &address, key]).await;
        assert!(!data.path().join("data").exists(), "the start left something behind");
    }
}

#[tokio::test]
async fn a_data_directory_in_use_of_another_bot_kind_or_version_is_refused_by_its_name() {
    let telegram = telegram().await;
    let data = tempfile::tempdir().unwrap();
    let setup = || Setup::new(data.path(), &telegram, Mode::Polling);
    let gateway = setup().start().await;
    gateway.says("\"ready\"").await;
    setup()
        .is_refused(3, &["in use by another gateway", "data/default", "a data directory of its own"])
        .await;
    gateway.stop().await;

    let other = setup().with("TELEGRAM_BOT_TOKEN", "43:very_secret_part_of_another");
    other.is_refused(3, &["belongs to the bot with id 42", "id 43", "another data directory"]).await;

    let journal = data.path().join("data/default/data.mdb");
    make_format_3(&journal);
    let newer = ["has format 3", "reads format 2", "data/default", "start the version that wrote it"];
    setup().is_refused(3, &newer).await;

    std::fs::write(&journal, [b'x'; 10_000]).unwrap();
    setup().is_refused(3, &["there is no journal in", "data/default", "choose an empty directory"]).await;

    // Not even root can make a directory here.
    let nowhere = setup().with("SWITCHBOARD_DATA_DIR", "/proc/switchboard");
    nowhere.is_refused(3, &["the data directory /proc/switchboard cannot be made", "data_dir"]).await;
}

/// Writes a newer format's number into a journal's data file, with the checksum that such a row would have.
fn make_format_3(data_file: &Path) {
    const TABLE: u64 = 0x9e37_79b9_7f4a_7c15;
    let row = |format: u32| {
        let value = format.to_be_bytes();
        let sum = xxh3_64_with_seed(b"format", xxh3_64(&value) ^ TABLE);
        [b"format".as_slice(), &value, &sum.to_be_bytes()].concat()
    };
    let (old, new) = (row(2), row(3));
    let mut file = std::fs::read(data_file).unwrap();
    let found = file.windows(old.len()).enumerate().filter(|(_, bytes)| *bytes == old);
    let places: Vec<usize> = found.map(|(place, _)| place).collect();
    assert!(!places.is_empty(), "the format's row has changed");
    for place in places {
        file[place..place + new.len()].copy_from_slice(&new);
    }
    std::fs::write(data_file, file).unwrap();
}
