//! A bot's webhook: the URL that Telegram calls, and the path at which it arrives.

use reqwest::Url;

/// What was configured, read but not yet put together.
#[derive(Debug)]
pub(super) struct Parts<'a> {
    /// `public.url`.
    pub(super) public_url: Option<&'a str>,
    /// `webhook.url`.
    pub(super) url: Option<&'a str>,
    /// `webhook.path`, where it was set.
    pub(super) path: Option<&'a str>,
    /// The path that a bot has without any of this.
    pub(super) default_path: &'a str,
}

/// Where the webhook is.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// The whole URL; `None` where none is known.
    pub(super) url: Option<String>,
    /// The path at the public listener.
    pub(super) path: String,
}

impl Parts<'_> {
    /// Puts them together. A `webhook.url` without a path, and `public.url`, are what the path is appended to.
    pub(super) fn place(&self) -> Place {
        let appended = self.path.unwrap_or(self.default_path);
        let below = |base: &str| {
            let url = format!("{}{appended}", base.trim_end_matches('/'));
            Place { path: path_of(&url).unwrap_or_else(|| appended.to_owned()), url: Some(url) }
        };
        match (self.url, self.public_url) {
            (Some(url), _) => match path_of(url) {
                Some(path) if path != "/" => {
                    Place { url: Some(url.to_owned()), path: self.path.map_or(path, str::to_owned) }
                }
                _ => below(url),
            },
            (None, Some(base)) => below(base),
            (None, None) => Place { url: None, path: appended.to_owned() },
        }
    }
}

fn path_of(url: &str) -> Option<String> {
    Some(Url::parse(url).ok()?.path().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(public_url: Option<&str>, url: Option<&str>, path: Option<&str>) -> (Option<String>, String) {
        let place = Parts { public_url, url, path, default_path: "/telegram/webhook/shop" }.place();
        (place.url, place.path)
    }

    #[test]
    fn the_url_is_the_public_one_and_the_path_unless_it_is_given_whole() {
        let at = |url: &str, path: &str| (Some(url.to_owned()), path.to_owned());
        let default = "/telegram/webhook/shop";
        assert_eq!(place(None, None, None), (None, default.to_owned()));
        assert_eq!(place(Some("https://a/"), None, None), at("https://a/telegram/webhook/shop", default));
        assert_eq!(place(Some("https://a/in"), None, Some("/x")), at("https://a/in/x", "/in/x"));
        assert_eq!(place(None, Some("https://a"), None), at("https://a/telegram/webhook/shop", default));
        assert_eq!(place(None, Some("https://a"), Some("/x")), at("https://a/x", "/x"));
        assert_eq!(place(Some("https://b"), Some("https://a/hook"), None), at("https://a/hook", "/hook"));
        assert_eq!(place(None, Some("https://a/in/hook"), Some("/hook")), at("https://a/in/hook", "/hook"));
    }
}
