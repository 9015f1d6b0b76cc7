//! What somebody may have meant who mistyped a name.

/// Below this likeness (Jaro–Winkler, 0 to 1) a name is another name, not a mistyped one.
const ALIKE: f64 = 0.7;

/// The name that is most like `name`, if one is.
pub(super) fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<String> {
    known
        .map(|known| (strsim::jaro_winkler(name, known), known))
        .filter(|(likeness, _)| *likeness >= ALIKE)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, known)| known.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistyped_name_is_found_and_another_one_is_not() {
        let known = || ["orders", "audit"].into_iter();
        assert_eq!(nearest("ordres", known()), Some("orders".into()));
        assert_eq!(nearest("zzz", known()), None);
        assert_eq!(nearest("orders", [].into_iter()), None);
    }
}
