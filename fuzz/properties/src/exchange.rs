//! The property of whole exchanges. Input: the largest chunk of the second run, a configuration, a program.
//!
//! The program runs twice, the second time with every chunk cut into smaller ones, and must leave the same records and
//! the same stats. Its events come in any order, including orders that Envoy never produces.

use crate::choices::Choices;
use crate::envoy::Envoy;
use crate::stats::Stats;

/// # Panics
/// If the property does not hold.
pub fn check(input: &[u8]) {
    let mut choices = Choices(input);
    let max_chunk = usize::from(choices.byte()) + 1;
    let config = choices.byte();
    let whole = Envoy::run(choices, config, usize::MAX);
    let cut = Envoy::run(choices, config, max_chunk);
    assert_eq!(whole.finished, cut.finished, "in chunks of {max_chunk}");
    assert_eq!(whole.host.stats(), cut.host.stats(), "in chunks of {max_chunk}");

    let stats = whole.host.stats();
    let stats = Stats::parse(&stats);
    stats.check(&whole.finished);
    stats.check_names(&whole.models, whole.max_models);
}
