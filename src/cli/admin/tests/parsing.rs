//! Every command line that is promised, and some that make no sense.

use clap::error::ErrorKind;
use clap::{Arg, Command as Line, CommandFactory};

use super::fake::parsed;
use crate::cli::Cli;

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

/// What takes a number, or a time or a rate, which begins like a flag if it is negative.
const NUMBERS: [&str; 9] =
    ["N", "ID", "ID,…", "SEQUENCE", "RATE", "DURATION", "KIND=DURATION", "TIME", "POSITION"];

/// Every argument of every admin command that takes a number, with the words up to the command.
fn numbers(line: &Line, words: &[String], found: &mut Vec<(Vec<String>, Arg)>) {
    let takes_number = |arg: &&Arg| {
        let names = arg.get_value_names().unwrap_or_default();
        names.iter().any(|name| NUMBERS.contains(&name.as_str()))
    };
    found.extend(line.get_arguments().filter(takes_number).map(|arg| (words.to_vec(), arg.clone())));
    for under in line.get_subcommands() {
        numbers(under, &[words, &[under.get_name().to_owned()]].concat(), found);
    }
}

#[test]
fn a_negative_number_is_taken_for_the_value_that_it_is() {
    let all = Cli::command();
    let mut found = Vec::new();
    let admin =
        ["groups", "seek", "updates", "timeline", "dead-letters", "replay", "outstanding", "quarantine"];
    for name in admin {
        numbers(all.find_subcommand(name).unwrap(), &[name.to_owned()], &mut found);
    }
    assert!(found.len() > 40, "{}", found.len());
    for (words, arg) in found {
        let value = if arg.get_id() == "rate" { "-1/s" } else { "-5" };
        let flag = arg.get_long().map(|long| format!("--{long}"));
        let line = words.iter().cloned().chain(flag).chain([value.to_owned()]);
        let line: Vec<String> = std::iter::once("switchboard".to_owned()).chain(line).collect();
        // Something else may be missing; that is said before or after.
        let Err(error) = Cli::command().try_get_matches_from(&line) else { continue };
        assert_ne!(error.kind(), ErrorKind::UnknownArgument, "{line:?}: {error}");
    }
}

#[test]
fn a_number_out_of_range_is_said_with_what_is_allowed() {
    for (line, allowed) in [
        ("timeline -1", "a whole number from 1 on"),
        ("updates --sequence -5", "a whole number from 1 on"),
        ("updates --update-id -5", "whole numbers from 1 on"),
        ("updates show -1", "a whole number from 1 on"),
        ("updates purge --sequence 0", "a whole number from 1 on"),
        ("dead-letters show -1", "a whole number from 1 on"),
        ("replay orders --all --rate -1/s", "0.1/s to 100000/s"),
        ("groups create orders --max-failures -1", "1 to 1000"),
        ("groups update orders --max-failures 2000000000", "1 to 1000"),
        ("groups update orders --max-lease -5s", "a whole number with ms, s, m, h or d"),
        ("groups update orders --max-unsettled-age 999999999999d", "a shorter time"),
        ("updates --limit -1", "1..="),
    ] {
        let words: Vec<&str> = line.split_whitespace().collect();
        let refused = parsed(&words).unwrap_err().to_string();
        assert!(refused.contains(allowed) && !refused.contains("tip:"), "{line}: {refused}");
    }
}

#[test]
fn an_empty_part_of_a_filter_is_not_everything() {
    for command in ["create", "update"] {
        for flag in ["--kinds", "--chats", "--chat-types", "--commands", "--callback-prefixes"] {
            for value in ["", "a,"] {
                let refused = parsed(&["groups", command, "n1", flag, value]).unwrap_err().to_string();
                let said = refused.contains("shell variable") && refused.contains("--reset filter");
                assert!(said || flag == "--chats" && value == "a,", "{command} {flag}: {refused}");
            }
        }
    }
    for line in [["replay", "orders", "--key", ""], ["dead-letters", "--kind", "", "--full"]] {
        assert!(parsed(&line).unwrap_err().to_string().contains("is empty"), "{line:?}");
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
