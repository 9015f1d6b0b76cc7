//! Every command line that is promised, and some that make no sense.

use super::fake::parsed;

#[test]
fn every_command_is_understood() {
    let lines = [
        "bots",
        "bots shop --json --address http://other:50051 --access-token-file token",
        "groups",
        "groups --bot shop --limit 200 --times absolute",
        "groups show orders --bot shop --json",
        "groups create orders",
        "groups create orders --kinds message,callback_query --chats -1001234567890,42 --chat-types private \
         --commands start,help --callback-prefixes order: --ordering topic --start -1h --max-age callback_query=150s \
         --max-failures 5 --min-failure-span 5m --backoff-initial 1s --backoff-max 60s --member-grace 5s \
         --max-lease 10m --max-unsettled-age 7d",
        "groups create rest --fallback --start earliest",
        "groups create rest --start 1200",
        "groups create rest --start 2026-05-01T12:00:00Z",
        "groups update orders --kinds message --reset max-age,max-failures",
        "groups delete orders --force --yes",
        "groups pause orders",
        "groups resume orders",
        "seek orders --to earliest --dry-run",
        "seek orders --to latest --yes",
        "seek orders --to -1h",
        "seek orders --to 1h",
        "seek orders --to 1200",
        "seek orders --to 2026-05-01T12:00:00+02:00",
        "updates",
        "updates --chat -1001234567890 --user 42 --kind message --since 1h --until 30m --contains text --key chat:42 \
         --update-id 7 --limit 10 --full",
        "updates --follow --chat 42",
        "updates show 17 --json",
        "updates show --update-id 700",
        "updates purge --chat -100 --dry-run",
        "updates purge --user 42 --yes",
        "updates purge --sequence 17",
        "timeline 17",
        "timeline --update-id 700",
        "timeline --chat -1001234567890 --limit 5",
        "dead-letters",
        "dead-letters --group orders --chat 42 --kind message --since 1d --until 1h",
        "dead-letters show 17 --group orders",
        "dead-letters replay orders --sequence 17,18",
        "dead-letters replay orders --chat 42 --rate 50/s",
        "dead-letters replay orders --kind message --dry-run",
        "dead-letters replay orders --all",
        "dead-letters purge orders --all --yes",
        "replay orders --since 1h --rate 10",
        "outstanding",
        "outstanding orders --key chat:42",
        "quarantine --limit 5",
    ];
    for line in lines {
        let words: Vec<&str> = line.split_whitespace().collect();
        if let Err(error) = parsed(&words) {
            panic!("{line}\n{error}");
        }
    }
}

#[test]
fn what_makes_no_sense_is_refused_before_anybody_is_asked() {
    let lines = [
        "groups show",
        "groups create orders --ordering random",
        "groups create orders --max-age message",
        "groups create orders --backoff-max 60",
        "groups update orders --reset name",
        "seek orders",
        "seek orders --to yesterday",
        "updates --limit 0",
        "updates --since tomorrow",
        "updates show",
        "updates show 17 --update-id 700",
        "updates purge",
        "updates purge --chat 1 --user 2",
        "timeline",
        "timeline 17 --chat 42",
        "dead-letters replay --all",
        "dead-letters replay orders --all --rate 0",
        "replay orders --all --rate fast",
        "quarantine 5",
    ];
    for line in lines {
        let words: Vec<&str> = line.split_whitespace().collect();
        assert!(parsed(&words).is_err(), "{line}");
    }
}
