//! Card models: what a simulated card is made of, read from TOML.

use serde::Deserialize;
use thiserror::Error;

const BUILT_IN: [(&str, &str); 3] = [
    ("u55c", include_str!("../profiles/u55c.toml")),
    ("f2", include_str!("../profiles/f2.toml")),
    ("asic", include_str!("../profiles/asic.toml")),
];

/// Name of the profile that is meant when none is named.
pub const DEFAULT_PROFILE: &str = "u55c";

/// A card model.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// Its name.
    pub name: String,
    /// Clock of the engines. \[MHz\]
    pub core_mhz: u64,
    /// The modular multiplier that all engines are built from.
    pub multiplier: MultiplierProfile,
    /// The multi-scalar multiplication engine.
    pub msm: MsmProfile,
    /// The transform engine.
    pub ntt: NttProfile,
    /// The vector engine.
    pub vector: VectorProfile,
    /// Card memory.
    pub memory: MemoryProfile,
    /// The host link.
    pub pcie: PcieProfile,
}

/// A fully pipelined 254-bit modular multiplier, one product a cycle.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct MultiplierProfile {
    /// From operands to product. \[cycles\]
    pub latency_cycles: u64,
}

/// The multi-scalar multiplication engine.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct MsmProfile {
    /// Lanes, each with a pipelined XYZZ mixed adder and its bucket memory.
    pub adders: u64,
    /// Widest window; the bucket memory holds all windows of full-width scalars at this width. \[bits\]
    pub window_bits: u64,
    /// Points that may wait for a bucket, per window of a lane.
    pub stall_fifo_depth: u64,
    /// Bucket memory read and write together. \[cycles\]
    pub bucket_ram_cycles: u64,
    /// How far one lane may run ahead of another. \[points\]
    pub point_fifo_depth: u64,
    /// Additions of equal points that may wait for the doubling unit, per lane.
    pub exception_fifo_depth: u64,
}

/// The transform engine.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct NttProfile {
    /// Butterflies a cycle.
    pub butterflies: u64,
    /// Elements of one of the on-chip buffers, as a power of two.
    pub tile_log2: u64,
    /// Largest transform, as a power of two; at most twice `tile_log2` less the columns of a burst.
    pub size_log2_max: u64,
}

/// The vector engine.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct VectorProfile {
    /// Elements a cycle and instruction.
    pub lanes: u64,
    /// Rows that the register file holds.
    pub strip_rows: u64,
}

/// Card memory.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct MemoryProfile {
    /// Size. \[GiB\]
    pub gib: u64,
    /// Independent channels.
    pub channels: u64,
    /// Width of a channel. \[bits/beat\]
    pub channel_bits: u64,
    /// Beats of a channel. \[MHz\]
    pub mhz: u64,
    /// Longest burst, and the piece in which vectors are spread over the channels. \[bytes\]
    pub burst_bytes: u64,
    /// Latency of a read under load. \[ns\]
    pub read_latency_ns: u64,
    /// Latency of a write under load. \[ns\]
    pub write_latency_ns: u64,
    /// Duration of a refresh. \[ns\]
    pub refresh_busy_ns: u64,
    /// Time from refresh to refresh. \[ns\]
    pub refresh_interval_ns: u64,
}

/// The host link.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct PcieProfile {
    /// PCI Express generation.
    pub generation: u64,
    /// Lanes.
    pub lanes: u64,
    /// Maximum payload of a packet. \[bytes\]
    pub payload_bytes: u64,
    /// Maximum read request. \[bytes\]
    pub read_request_bytes: u64,
    /// How the root complex splits read completions. \[bytes\]
    pub completion_bytes: u64,
    /// Read requests in flight.
    pub read_tags: u64,
    /// From a read request to its first data. \[ns\]
    pub read_latency_ns: u64,
    /// From a write to its visibility in host memory. \[ns\]
    pub write_latency_ns: u64,
}

/// Why a profile cannot be used.
#[derive(Debug, Error)]
pub enum ProfileError {
    /// No built-in profile has this name.
    #[error("no card profile is called {name:?}; the profiles are {known}: choose one of them")]
    Unknown {
        /// What was asked for.
        name: String,
        /// The names there are.
        known: String,
    },
    /// The text is not TOML, or lacks a field, or has one too many.
    #[error("the card profile cannot be read; correct the line that the cause names")]
    Syntax(#[from] toml::de::Error),
    /// A figure that no card can have.
    #[error("card profile {profile:?}: {field} must be {expected}, got {got}; correct it in the profile")]
    OutOfRange {
        /// The profile's name.
        profile: String,
        /// The field, with its section.
        field: &'static str,
        /// What it may be.
        expected: String,
        /// What it is.
        got: u64,
    },
}

impl Profile {
    /// The built-in profile of this name.
    pub fn load(name: &str) -> Result<Profile, ProfileError> {
        match BUILT_IN.iter().find(|(known, _)| *known == name) {
            Some((_, text)) => Profile::from_toml(text),
            None => Err(ProfileError::Unknown { name: name.to_string(), known: Profile::names().join(", ") }),
        }
    }

    /// Names of the built-in profiles, the default first.
    pub fn names() -> Vec<&'static str> {
        BUILT_IN.iter().map(|(name, _)| *name).collect()
    }

    /// Reads and checks a profile.
    pub fn from_toml(text: &str) -> Result<Profile, ProfileError> {
        let profile: Profile = toml::from_str(text)?;
        profile.check()?;
        Ok(profile)
    }

    fn check(&self) -> Result<(), ProfileError> {
        for (field, got, min, max) in self.ranges() {
            if got < min || got > max {
                return Err(self.out_of_range(field, format!("from {min} to {max}"), got));
            }
        }
        let powers = [
            ("memory.channel_bits", self.memory.channel_bits),
            ("memory.burst_bytes", self.memory.burst_bytes),
            ("pcie.lanes", self.pcie.lanes),
            ("pcie.payload_bytes", self.pcie.payload_bytes),
            ("pcie.read_request_bytes", self.pcie.read_request_bytes),
            ("pcie.completion_bytes", self.pcie.completion_bytes),
        ];
        for (field, got) in powers {
            if !got.is_power_of_two() {
                return Err(self.out_of_range(field, "a power of two".to_string(), got));
            }
        }
        self.check_relations()
    }

    fn check_relations(&self) -> Result<(), ProfileError> {
        let (busy, interval) = (self.memory.refresh_busy_ns, self.memory.refresh_interval_ns);
        if interval <= busy {
            let expected = format!("more than memory.refresh_busy_ns ({busy})");
            return Err(self.out_of_range("memory.refresh_interval_ns", expected, interval));
        }
        // A column transform keeps a burst of columns on the chip.
        let limit = 2 * (self.ntt.tile_log2 - (self.memory.burst_bytes / 32).ilog2() as u64);
        if self.ntt.size_log2_max > limit.max(self.ntt.tile_log2) {
            let expected = format!("at most {limit} with this tile and burst");
            return Err(self.out_of_range("ntt.size_log2_max", expected, self.ntt.size_log2_max));
        }
        let depth = self.msm.exception_fifo_depth;
        let stages = self.multiplier.latency_cycles + 6;
        if depth <= stages {
            let expected = format!("more than {stages}, the stages before an exception is seen");
            return Err(self.out_of_range("msm.exception_fifo_depth", expected, depth));
        }
        Ok(())
    }

    fn ranges(&self) -> [(&'static str, u64, u64, u64); 28] {
        let (msm, ntt, vector, memory, pcie) = (&self.msm, &self.ntt, &self.vector, &self.memory, &self.pcie);
        [
            ("core_mhz", self.core_mhz, 1, 10_000),
            ("multiplier.latency_cycles", self.multiplier.latency_cycles, 1, 200),
            ("msm.adders", msm.adders, 1, 64),
            ("msm.window_bits", msm.window_bits, 4, 16),
            ("msm.stall_fifo_depth", msm.stall_fifo_depth, 1, 64),
            ("msm.bucket_ram_cycles", msm.bucket_ram_cycles, 1, 64),
            ("msm.point_fifo_depth", msm.point_fifo_depth, 1, 65_536),
            ("msm.exception_fifo_depth", msm.exception_fifo_depth, 1, 4096),
            ("ntt.butterflies", ntt.butterflies, 1, 4096),
            ("ntt.tile_log2", ntt.tile_log2, 8, 20),
            ("ntt.size_log2_max", ntt.size_log2_max, 8, 28),
            ("vector.lanes", vector.lanes, 1, 4096),
            ("vector.strip_rows", vector.strip_rows, vector.lanes, 1 << 16),
            ("memory.gib", memory.gib, 1, 1024),
            ("memory.channels", memory.channels, 1, 1024),
            ("memory.channel_bits", memory.channel_bits, 64, 1024),
            ("memory.mhz", memory.mhz, 1, 10_000),
            ("memory.burst_bytes", memory.burst_bytes, memory.channel_bits / 8, 4096),
            ("memory.read_latency_ns", memory.read_latency_ns, 1, 1_000_000),
            ("memory.write_latency_ns", memory.write_latency_ns, 1, 1_000_000),
            ("memory.refresh_busy_ns", memory.refresh_busy_ns, 0, 1_000_000),
            ("pcie.generation", pcie.generation, 1, 5),
            ("pcie.lanes", pcie.lanes, 1, 16),
            ("pcie.payload_bytes", pcie.payload_bytes, 128, 1024),
            ("pcie.read_request_bytes", pcie.read_request_bytes, 128, 4096),
            ("pcie.completion_bytes", pcie.completion_bytes, 64, pcie.payload_bytes.max(64)),
            ("pcie.read_tags", pcie.read_tags, 1, 1024),
            ("pcie.read_latency_ns", pcie.read_latency_ns, 1, 1_000_000),
        ]
    }

    fn out_of_range(&self, field: &'static str, expected: String, got: u64) -> ProfileError {
        ProfileError::OutOfRange { profile: self.name.clone(), field, expected, got }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_profile_loads_under_its_own_name() {
        for name in Profile::names() {
            assert_eq!(Profile::load(name).unwrap().name, name);
        }
        assert_eq!(Profile::names()[0], DEFAULT_PROFILE);
    }

    #[test]
    fn unknown_name_lists_the_known_ones() {
        let text = Profile::load("u56c").unwrap_err().to_string();
        assert!(text.contains("u56c") && text.contains("u55c, f2, asic"), "{text}");
    }

    #[test]
    fn impossible_figures_are_refused_by_name() {
        let good = BUILT_IN[0].1;
        let cases = [
            ("adders = 2", "adders = 0", "msm.adders"),
            ("completion_bytes = 64", "completion_bytes = 96", "pcie.completion_bytes"),
            ("refresh_interval_ns = 3900", "refresh_interval_ns = 260", "memory.refresh_interval_ns"),
            ("size_log2_max = 24", "size_log2_max = 25", "ntt.size_log2_max"),
            ("strip_rows = 512", "strip_rows = 7", "vector.strip_rows"),
            ("exception_fifo_depth = 64", "exception_fifo_depth = 41", "msm.exception_fifo_depth"),
        ];
        for (from, to, named) in cases {
            assert!(good.contains(from));
            match Profile::from_toml(&good.replace(from, to)) {
                Err(ProfileError::OutOfRange { field, .. }) => assert_eq!(field, named),
                other => panic!("{to}: {other:?}"),
            }
        }
    }

    #[test]
    fn missing_and_unknown_fields_are_refused() {
        let good = BUILT_IN[0].1;
        for bad in [good.replace("adders = 2", ""), good.replace("adders = 2", "adders = 2\nmultipliers = 3")]
        {
            assert!(matches!(Profile::from_toml(&bad), Err(ProfileError::Syntax(_))));
        }
    }
}
