//! Print: numbers as people read them.

/// With a comma between groups of three digits.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().map(|group| std::str::from_utf8(group).expect("digits are ASCII")).collect();
    groups.join(",")
}

/// So many things, one of which is called `what`.
pub(super) fn counted(number: u64, what: &str) -> String {
    format!("{} {}", grouped(number), plural(number, what))
}

/// The word for so many things, one of which is called `what`.
pub(super) fn plural(number: u64, what: &str) -> String {
    let end = if number == 1 { "" } else { "s" };
    format!("{what}{end}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_and_one_is_no_more_than_one() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(15_690), "15,690");
        assert_eq!(
            (counted(1, "row"), counted(2, "row"), counted(0, "row")),
            ("1 row".into(), "2 rows".into(), "0 rows".into())
        );
    }
}
