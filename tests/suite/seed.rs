//! Seeds of the tests that make their data by chance.

/// The number in an environment variable, to repeat a run, or chance if it says `any`, to look for
/// more; else one that is the same in every run: what fails then is a change.
pub fn of(variable: &str) -> u64 {
    let seed = match std::env::var(variable).as_deref() {
        Ok("any") => fastrand::u64(..),
        Ok(seed) => seed.parse().unwrap_or_else(|_| {
            panic!("{variable} is `any`, or a number that a failed run printed; not `{seed}`")
        }),
        Err(_) => 1,
    };
    println!("{variable}={seed}");
    seed
}
