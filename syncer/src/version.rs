//! The build's version, commit and ref, as `--version` and `inference_extension_info` report them.

/// The crate's version.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The Git commit that was built. `scripts/build-syncer.sh` sets it; `unknown` in other builds.
pub const COMMIT: &str = match option_env!("INFERTALLY_COMMIT") {
    Some(commit) => commit,
    None => "unknown",
};
/// The tag, or the branch and commit, that was built. `scripts/build-syncer.sh` sets it; `unknown` in other builds.
pub const BUILD_REF: &str = match option_env!("INFERTALLY_BUILD_REF") {
    Some(build_ref) => build_ref,
    None => "unknown",
};

/// What `--version` prints after the program's name.
pub fn long() -> String {
    format!("{VERSION} (commit {COMMIT}, {BUILD_REF})")
}
