//! Upper bounds of the histogram buckets, each as its `le` label and as the integer that observations are compared with.

/// An inclusive upper bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bound {
    /// The label value, formatted as Go prints a float.
    pub le: &'static str,
    /// In the unit of observations: bytes, tokens or microseconds.
    pub at: u64,
}

const fn bound(le: &'static str, at: u64) -> Bound {
    Bound { le, at }
}

pub(super) const REQUEST_DURATION: &[Bound] = &[
    bound("0.005", 5_000),
    bound("0.025", 25_000),
    bound("0.05", 50_000),
    bound("0.1", 100_000),
    bound("0.2", 200_000),
    bound("0.4", 400_000),
    bound("0.6", 600_000),
    bound("0.8", 800_000),
    bound("1", 1_000_000),
    bound("1.25", 1_250_000),
    bound("1.5", 1_500_000),
    bound("2", 2_000_000),
    bound("3", 3_000_000),
    bound("4", 4_000_000),
    bound("5", 5_000_000),
    bound("6", 6_000_000),
    bound("8", 8_000_000),
    bound("10", 10_000_000),
    bound("15", 15_000_000),
    bound("20", 20_000_000),
    bound("30", 30_000_000),
    bound("45", 45_000_000),
    bound("60", 60_000_000),
    bound("120", 120_000_000),
    bound("180", 180_000_000),
    bound("240", 240_000_000),
    bound("300", 300_000_000),
    bound("360", 360_000_000),
    bound("480", 480_000_000),
    bound("600", 600_000_000),
    bound("900", 900_000_000),
    bound("1200", 1_200_000_000),
    bound("1800", 1_800_000_000),
    bound("2700", 2_700_000_000),
    bound("3600", 3_600_000_000),
];

pub(super) const NORMALIZED_TIME_PER_OUTPUT_TOKEN: &[Bound] = &[
    bound("0.001", 1_000),
    bound("0.002", 2_000),
    bound("0.005", 5_000),
    bound("0.01", 10_000),
    bound("0.02", 20_000),
    bound("0.05", 50_000),
    bound("0.1", 100_000),
    bound("0.2", 200_000),
    bound("0.5", 500_000),
    bound("1", 1_000_000),
    bound("2", 2_000_000),
    bound("5", 5_000_000),
    bound("10", 10_000_000),
];

/// Powers of two from 64 B to 1 GiB.
pub(super) const REQUEST_SIZES: &[Bound] = &[
    bound("64", 64),
    bound("128", 128),
    bound("256", 256),
    bound("512", 512),
    bound("1024", 1_024),
    bound("2048", 2_048),
    bound("4096", 4_096),
    bound("8192", 8_192),
    bound("16384", 16_384),
    bound("32768", 32_768),
    bound("65536", 65_536),
    bound("131072", 131_072),
    bound("262144", 262_144),
    bound("524288", 524_288),
    bound("1.048576e+06", 1_048_576),
    bound("2.097152e+06", 2_097_152),
    bound("4.194304e+06", 4_194_304),
    bound("8.388608e+06", 8_388_608),
    bound("1.6777216e+07", 16_777_216),
    bound("3.3554432e+07", 33_554_432),
    bound("6.7108864e+07", 67_108_864),
    bound("1.34217728e+08", 134_217_728),
    bound("2.68435456e+08", 268_435_456),
    bound("5.36870912e+08", 536_870_912),
    bound("1.073741824e+09", 1_073_741_824),
];

/// 32778 is the reference implementation's value (not 32768), which existing dashboards use.
pub(super) const RESPONSE_SIZES: &[Bound] = &[
    bound("1", 1),
    bound("8", 8),
    bound("16", 16),
    bound("32", 32),
    bound("64", 64),
    bound("128", 128),
    bound("256", 256),
    bound("512", 512),
    bound("1024", 1_024),
    bound("2048", 2_048),
    bound("4096", 4_096),
    bound("8192", 8_192),
    bound("16384", 16_384),
    bound("32778", 32_778),
    bound("65536", 65_536),
    bound("131072", 131_072),
    bound("262144", 262_144),
    bound("524288", 524_288),
    bound("1.048576e+06", 1_048_576),
    bound("4.194304e+06", 4_194_304),
    bound("1.6777216e+07", 16_777_216),
];

pub(super) const INPUT_TOKENS: &[Bound] = &[
    bound("1", 1),
    bound("8", 8),
    bound("16", 16),
    bound("32", 32),
    bound("64", 64),
    bound("128", 128),
    bound("256", 256),
    bound("512", 512),
    bound("1024", 1_024),
    bound("2048", 2_048),
    bound("4096", 4_096),
    bound("8192", 8_192),
    bound("16384", 16_384),
    bound("32778", 32_778),
    bound("65536", 65_536),
    bound("131072", 131_072),
    bound("262144", 262_144),
    bound("524288", 524_288),
    bound("1.048576e+06", 1_048_576),
];

pub(super) const OUTPUT_TOKENS: &[Bound] = &[
    bound("1", 1),
    bound("8", 8),
    bound("16", 16),
    bound("32", 32),
    bound("64", 64),
    bound("128", 128),
    bound("256", 256),
    bound("512", 512),
    bound("1024", 1_024),
    bound("2048", 2_048),
    bound("4096", 4_096),
    bound("8192", 8_192),
    bound("16384", 16_384),
    bound("32768", 32_768),
    bound("65536", 65_536),
];
