//! Scalars: how a visitor that looks for objects and arrays in JSON handles all other values.

/// The visits of values without anything in them, each of which gives the same.
macro_rules! scalars_are {
    ($value:ty, $is:expr) => {
        fn visit_bool<E>(self, _: bool) -> Result<$value, E> {
            Ok($is)
        }

        fn visit_i64<E>(self, _: i64) -> Result<$value, E> {
            Ok($is)
        }

        fn visit_u64<E>(self, _: u64) -> Result<$value, E> {
            Ok($is)
        }

        fn visit_f64<E>(self, _: f64) -> Result<$value, E> {
            Ok($is)
        }

        fn visit_str<E>(self, _: &str) -> Result<$value, E> {
            Ok($is)
        }

        fn visit_unit<E>(self) -> Result<$value, E> {
            Ok($is)
        }
    };
}

pub(in crate::source) use scalars_are;
