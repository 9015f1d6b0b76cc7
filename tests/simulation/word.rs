//! Values as words of a history's text.

/// A value that is written as one word.
pub trait Word: Sized {
    fn write(&self) -> String;
    fn read(word: &str) -> Option<Self>;
}

macro_rules! plain_words {
    ($($type:ty)*) => {
        $(impl Word for $type {
            fn write(&self) -> String {
                self.to_string()
            }

            fn read(word: &str) -> Option<Self> {
                word.parse().ok()
            }
        })*
    };
}

plain_words!(u64 i64 u32 bool);

/// Makes an enum whose values are words.
macro_rules! words {
    ($(#[doc = $doc:literal])* $name:ident: $($(#[doc = $value_doc:literal])* $value:ident)*) => {
        $(#[doc = $doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum $name {
            $($(#[doc = $value_doc])* $value,)*
        }

        impl $name {
            pub const ALL: &'static [Self] = &[$(Self::$value,)*];
        }

        impl $crate::word::Word for $name {
            fn write(&self) -> String {
                format!("{self:?}")
            }

            fn read(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|value| format!("{value:?}") == word)
            }
        }
    };
}
pub(crate) use words;

/// `name=word` pairs of one line.
pub struct Words<'a>(pub &'a str);

impl Words<'_> {
    pub fn get<T: Word>(&self, name: &str) -> Option<T> {
        self.0.split(' ').find_map(|pair| T::read(pair.strip_prefix(name)?.strip_prefix('=')?))
    }
}
