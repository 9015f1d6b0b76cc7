//! How long one update takes from bytes to routing key, and to the stored bytes.
#![allow(missing_docs, reason = "criterion's macros make public items")]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use switchboard::model::UnixMillis;
use switchboard::update::parse;
use switchboard::wire::encode_update;

/// An update of about 1 KB with Cyrillic text, escaped as Telegram does it.
fn sample() -> String {
    let text = "\\u043f\\u0440\\u0438\\u0432\\u0435\\u0442 ".repeat(15);
    format!(
        r#"{{"update_id":731000001,
"message":{{"message_id":1042,"from":{{"id":412345678,"is_bot":false,"first_name":"Bob","username":"bob_builder_99","language_code":"en"}},"chat":{{"id":-1001234567890,"title":"\u043d\u0430","username":"rust_ru_demo","type":"supergroup"}},"date":1788000000,"reply_to_message":{{"message_id":1041,"chat":{{"id":-1001234567890,"type":"supergroup"}},"date":1787999999,"text":"hi"}},"text":"{text}","entities":[{{"offset":0,"length":5,"type":"bold"}}]}}}}"#
    )
}

fn parsing(criterion: &mut Criterion) {
    let body = sample();
    let mut group = criterion.benchmark_group("update");
    group.throughput(Throughput::Bytes(body.len() as u64));
    group.bench_function("parse", |bench| bench.iter(|| parse(black_box(body.as_bytes())).is_ok()));
    group.bench_function("parse and encode", |bench| {
        bench.iter(|| {
            parse(black_box(body.as_bytes()))
                .map(|update| encode_update("default", &update, UnixMillis(1_788_000_000_000)))
        });
    });
    group.finish();
}

criterion_group!(benches, parsing);
criterion_main!(benches);
