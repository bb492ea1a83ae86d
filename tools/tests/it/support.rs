//! Runs the program, and keeps one compiled model for all tests that only read it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use tempfile::TempDir;

/// What one run of the program gave.
#[derive(Debug)]
pub struct Run {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

/// Runs `kiln` with these arguments.
pub fn kiln<S: AsRef<std::ffi::OsStr>>(arguments: &[S]) -> Run {
    let output = Command::new(env!("CARGO_BIN_EXE_kiln"))
        .args(arguments)
        // Rates of the machine would be read from there.
        .env("XDG_CONFIG_HOME", "/nonexistent")
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap();
    Run {
        code: output.status.code().unwrap(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

impl Run {
    /// The run succeeded.
    #[track_caller]
    pub fn succeeds(self) -> Self {
        assert_eq!(self.code, 0, "{self:#?}");
        self
    }

    /// The run failed with this code, one line of explanation, and no panic.
    #[track_caller]
    pub fn fails(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self:#?}");
        let lines: Vec<_> = self.stderr.lines().filter(|line| !line.contains("WARNING")).collect();
        assert_eq!(lines.len(), 1, "one line of explanation: {self:#?}");
        assert!(lines[0].starts_with("kiln: "), "{self:#?}");
        assert!(!self.stderr.contains("panicked"), "{self:#?}");
        self
    }

    /// Standard output as JSON.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|e| panic!("{e}: {self:#?}"))
    }
}

/// A file of the committed models.
pub fn model_file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../circuits/models").join(name)
}

/// A directory with one compiled model, one proof and its public values.
pub struct Proven {
    directory: TempDir,
}

impl Proven {
    /// Nothing in it yet.
    pub fn in_new_directory() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }
}

/// The diagnostic model with hidden weights and a private record, proven on the processor. Shared: do not change it.
pub fn diagnostic() -> &'static Proven {
    static DIAGNOSTIC: OnceLock<Proven> = OnceLock::new();
    DIAGNOSTIC.get_or_init(|| {
        let proven = Proven::in_new_directory();
        compile(&proven.path("compiled"), &[]).succeeds();
        prove(&proven, "proof.bin", "public.json", "cpu").succeeds();
        proven
    })
}

/// Compiles the diagnostic model.
pub fn compile(directory: &Path, more: &[&str]) -> Run {
    let (model, calibration) = (model_file("diagnostic.onnx"), model_file("diagnostic.calibration.json"));
    let mut arguments: Vec<&std::ffi::OsStr> = vec!["compile".as_ref(), "--model".as_ref(), model.as_ref()];
    arguments.extend::<[&std::ffi::OsStr; 4]>([
        "--calibration".as_ref(),
        calibration.as_ref(),
        "-o".as_ref(),
        directory.as_ref(),
    ]);
    arguments.extend(more.iter().map(|argument| -> &std::ffi::OsStr { argument.as_ref() }));
    kiln(&arguments)
}

/// Proves the diagnostic record.
pub fn prove(place: &Proven, proof: &str, public: &str, backend: &str) -> Run {
    let record = model_file("diagnostic.record.json");
    kiln(&[
        "prove",
        "--compiled",
        &place.text("compiled"),
        "--record",
        record.to_str().unwrap(),
        "-o",
        &place.text(proof),
        "--public",
        &place.text(public),
        "--backend",
        backend,
        "--json",
    ])
}

/// Verifies files by path.
pub fn verify(proof: &Path, vk: &Path, public: &Path) -> Run {
    let texts = [proof, vk, public].map(|path| path.to_str().unwrap());
    kiln(&["verify", "--json", "--proof", texts[0], "--vk", texts[1], "--public", texts[2]])
}

/// What is in a directory, sorted.
pub fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}
