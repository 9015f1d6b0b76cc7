//! Logs: text on a terminal, JSON elsewhere, on standard error. Whatever is logged by whom: no secret of the
//! configuration passes the writer.

use std::io::{self, IsTerminal, Write};
use std::sync::Arc;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::util::SubscriberInitExt;

/// How logs are written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// In which form.
    pub format: Format,
    /// A filter as in `RUST_LOG`.
    pub filter: Box<str>,
}

/// The form of logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Text on a terminal, JSON elsewhere.
    Auto,
    /// Text.
    Text,
    /// JSON, one object in a line.
    Json,
}

/// Why logging could not begin.
#[derive(Debug, thiserror::Error)]
#[error("logging cannot begin: {0}")]
pub struct LoggingError(String);

/// Begins logging for the whole process, panics included.
///
/// # Errors
/// If the filter cannot be read, or logging has begun already.
pub fn init<'a>(settings: &Settings, secrets: impl Iterator<Item = &'a str>) -> Result<(), LoggingError> {
    let terminal = io::stderr().is_terminal();
    let writer = Redacting::new(secrets, io::stderr);
    let form = match settings.format {
        Format::Auto if terminal => Form::Text { colours: true },
        Format::Text => Form::Text { colours: terminal },
        Format::Auto | Format::Json => Form::Json,
    };
    let failed = |why: &dyn std::fmt::Display| LoggingError(why.to_string());
    subscriber(&settings.filter, form, writer)?.try_init().map_err(|why| failed(&why))?;
    std::panic::set_hook(Box::new(|panic| {
        let at = panic.location().map_or_else(String::new, ToString::to_string);
        let what = panic.payload_as_str().unwrap_or("no message");
        tracing::error!(at, "panicked: {what}; this is a bug in Switchboard, please report it");
    }));
    Ok(())
}

const REDACTED: &str = "[redacted]";
/// Secrets of fewer bytes are no real ones (`1:any` stands in for a bot's token, for example): they are redacted as words
/// only, or the log would be in pieces wherever their letters are.
const MIN_SECRET_INSIDE_WORDS: usize = 8;

#[derive(Clone, Copy)]
enum Form {
    Text { colours: bool },
    Json,
}

fn subscriber<W>(
    filter: &str,
    form: Form,
    writer: W,
) -> Result<Box<dyn tracing::Subscriber + Send + Sync>, LoggingError>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let filter = EnvFilter::builder().parse(filter).map_err(|why| LoggingError(why.to_string()))?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer);
    Ok(match form {
        Form::Text { colours } => Box::new(builder.with_ansi(colours).finish()),
        Form::Json => Box::new(builder.json().flatten_event(true).with_current_span(false).finish()),
    })
}

/// Replaces secrets in what is written. An event comes in one write, so that no secret is cut in two.
#[derive(Clone)]
struct Redacting<M> {
    secrets: Arc<[Box<str>]>,
    inner: M,
}

impl<M> Redacting<M> {
    /// Redacts the secrets themselves, how JSON writes them, and the part of a bot's token that is after the colon,
    /// since URLs may write the colon otherwise.
    fn new<'a>(secrets: impl Iterator<Item = &'a str>, inner: M) -> Self {
        let mut all: Vec<Box<str>> = Vec::new();
        for secret in secrets.filter(|secret| !secret.is_empty()) {
            all.push(secret.into());
            let in_json = serde_json::Value::from(secret).to_string();
            let unquoted = in_json.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
            all.extend(unquoted.map(Into::into));
            if let Some((id, rest)) = secret.split_once(':')
                && id.bytes().all(|b| b.is_ascii_digit())
                && !rest.is_empty()
            {
                all.push(rest.into());
            }
        }
        // The longest first: a secret that is a part of another must not leave the rest of it.
        all.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        all.dedup();
        Self { secrets: all.into(), inner }
    }
}

impl<'w, M: MakeWriter<'w>> MakeWriter<'w> for Redacting<M> {
    type Writer = RedactingWriter<M::Writer>;

    fn make_writer(&'w self) -> Self::Writer {
        RedactingWriter { secrets: self.secrets.clone(), inner: self.inner.make_writer() }
    }
}

struct RedactingWriter<W> {
    secrets: Arc<[Box<str>]>,
    inner: W,
}

impl<W: Write> Write for RedactingWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(bytes);
        let mut clean: Option<String> = None;
        for secret in self.secrets.iter() {
            let seen = clean.as_deref().unwrap_or(&text);
            if let Some(redacted) = redact(seen, secret) {
                clean = Some(redacted);
            }
        }
        self.inner.write_all(clean.as_deref().map_or(bytes, str::as_bytes))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// The text without the secret, if it is in there.
fn redact(text: &str, secret: &str) -> Option<String> {
    if secret.len() >= MIN_SECRET_INSIDE_WORDS || secret.contains(':') {
        return text.contains(secret).then(|| text.replace(secret, REDACTED));
    }
    let mut clean = String::new();
    let mut rest = 0;
    for (at, _) in text.match_indices(secret) {
        let (before, after) = (&text[..at], &text[at + secret.len()..]);
        let stands_alone =
            !before.ends_with(char::is_alphanumeric) && !after.starts_with(char::is_alphanumeric);
        if stands_alone {
            clean.push_str(&text[rest..at]);
            clean.push_str(REDACTED);
            rest = at + secret.len();
        }
    }
    (rest > 0).then(|| clean + &text[rest..])
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(form: Form, secrets: &[&str], log: impl FnOnce()) -> String {
        let sink = Sink::default();
        let writing = sink.clone();
        let writer = Redacting::new(secrets.iter().copied(), move || writing.clone());
        let subscriber = subscriber("info", form, writer).unwrap();
        tracing::subscriber::with_default(subscriber, log);
        let bytes = sink.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn no_secret_reaches_the_log_in_any_form() {
        let secrets = ["42:AAE-secret_part", "hook-secret", r#"quo"ted\secret"#, "pass word"];
        for form in [Form::Json, Form::Text { colours: false }, Form::Text { colours: true }] {
            let text = logged(form, &secrets, || {
                let url = "https://api.telegram.org/bot42:AAE-secret_part/getMe";
                tracing::info!(url, encoded = "bot42%3AAAE-secret_part", "calling {url}");
                tracing::error!(secret = ?secrets, "header hook-secret, {}", secrets[2]);
                let span = tracing::info_span!("s", password = "pass word");
                span.in_scope(|| tracing::info!("inside"));
            });
            assert!(text.contains("calling") && text.contains("[redacted]"), "{text}");
            for secret in ["AAE-secret_part", "hook-secret", "ted\\secret", "ted\\\\secret", "pass word"] {
                assert!(!text.contains(secret), "{secret} in {text}");
            }
        }
    }

    #[test]
    fn a_toy_secret_does_not_take_the_log_apart() {
        let text = logged(Form::Json, &["1:any", "e", "me"], || {
            tracing::info!(url = "http://localhost/bot1:any/getMe", "many messages; Bearer e, secret=any");
        });
        let line: serde_json::Value = serde_json::from_str(text.trim()).unwrap();
        assert_eq!(line["message"], "many messages; Bearer [redacted], secret=[redacted]");
        assert_eq!(line["url"], "http://localhost/bot[redacted]/getMe");
    }

    #[test]
    fn json_is_one_object_in_a_line_with_the_fields_flat() {
        let text = logged(Form::Json, &[], || tracing::info!(bot = "shop", "polling"));
        let line: serde_json::Value = serde_json::from_str(text.trim()).unwrap();
        assert_eq!((line["message"].as_str(), line["bot"].as_str()), (Some("polling"), Some("shop")));
    }

    #[test]
    fn the_filter_decides_what_is_logged() {
        assert_eq!(logged(Form::Json, &[], || tracing::debug!("unseen")), "");
    }
}
