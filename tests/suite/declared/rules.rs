//! Rules: what the values of a column must be, so that their record is stored.

use super::cells::Kind;
use super::table::Value;
use fastrand::Rng;

/// What the values of a column must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    Required,
    NotBelow(i32),
    NotAbove(i32),
}

impl Rule {
    /// One that values of this kind may break.
    pub fn any(random: &mut Rng, kind: Kind) -> Option<Self> {
        match (kind, random.u8(..3)) {
            (Kind::Text | Kind::Identifier, _) => Some(Self::Required),
            (Kind::Number(_), 0) => Some(Self::NotBelow(-50)),
            (Kind::Number(_), 1) => Some(Self::NotAbove(500_000)),
            _ => None,
        }
    }

    /// Its words in the configuration.
    pub fn entry(self) -> String {
        match self {
            Self::Required => "required = true".to_owned(),
            Self::NotBelow(bound) => format!("min = {bound}"),
            Self::NotAbove(bound) => format!("max = \"{bound}\""),
        }
    }

    /// Whether a value is as it must be.
    pub fn holds(self, value: Option<&Value>) -> bool {
        let number = match value {
            None | Some(Value::Null | Value::Rescued) => return self != Self::Required,
            Some(Value::Text(_)) => return true,
            Some(Value::Whole(number)) => number.to_string(),
            Some(Value::Real(number)) => number.clone(),
        };
        let number: f64 = number.parse().expect("digits");
        match self {
            Self::Required => true,
            Self::NotBelow(bound) => number >= f64::from(bound),
            Self::NotAbove(bound) => number <= f64::from(bound),
        }
    }
}
