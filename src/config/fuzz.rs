//! A configuration of any text, for the fuzzer.

use super::{Environment, Layers, assemble, file};

/// A file, and behind a zero byte environment variables, one a line. Every problem has words, and no secret in them.
pub fn fuzz(data: &[u8]) {
    const SECRET: &str = "123456789:AAEverysecretverysecret";
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (text, variables) = text.split_once('\0').unwrap_or((text, ""));
    let variables = variables.lines().filter_map(|line| line.split_once('='));
    // Variables that name files would be read.
    let harmless = variables.filter(|(name, _)| !name.contains("FILE") && *name != "SWITCHBOARD_CONFIG");
    let token = [("SWITCHBOARD_BOT_TOKEN", SECRET)];
    let environment: Environment = harmless.chain(token).collect();
    let mut layers = Layers::default();
    if !text.contains("file") {
        file::add_file(&mut layers, "fuzz.toml", text);
    }
    layers.add_environment(&environment);
    layers.check_bot_names();
    layers.drop_ambiguous_tokens();
    let (config, problems) = assemble(&layers, &environment);
    assert!(
        config.is_some() || !problems.is_empty() || !layers.problems.is_empty(),
        "refused without a reason"
    );
    for problem in problems.iter().chain(&layers.problems) {
        let words = problem.to_string();
        assert!(!words.is_empty() && !words.contains(SECRET), "{words}");
    }
    if let Some(config) = config {
        for effective in &config.effective {
            assert!(!effective.value.contains(SECRET), "{effective:?}");
        }
    }
}
