//! The driver in a guest, over the guest kernel's VFIO.
//!
//! ```text
//!  kiln-sim serve ══ vfio-user socket ══ QEMU ── guest kernel: vfio-pci, IOMMU ── kiln (driver, prover)
//!                                          └── serial line: what passed, and the proof ──► kiln verify, out here
//! ```

mod archive;
mod iommufd;
mod machine;
mod packages;

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::error::{Failure, at, run as run_program};
use archive::Archive;

/// Arguments of `guest-test`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where fetched packages are kept; kiln-guest in the user's cache folder when nothing is said
    #[arg(long)]
    cache: Option<PathBuf>,
    /// Longest run of the virtual machine, in seconds
    #[arg(long, default_value_t = 170)]
    limit_s: u64,
    /// Card model of the simulated card
    #[arg(long, default_value = "u55c")]
    profile: String,
    /// Use kiln and kiln-sim as they were built last
    #[arg(long)]
    no_build: bool,
    /// Print all that the guest prints
    #[arg(long)]
    verbose: bool,
}

/// The model that is proven: small, and in this repository.
const MODEL: &str = "circuits/models/diagnostic";

/// A suite has more checks than this.
const SUITE: usize = 15;

/// What the serial line brought.
#[derive(Debug, Default)]
struct Seen {
    checks: usize,
    failed: Vec<String>,
    interfaces: Vec<String>,
    exit_code: Option<i32>,
    proof: String,
    public: String,
}

/// Runs the task.
pub fn run(args: &Args) -> Result<(), Failure> {
    let started = Instant::now();
    let say = |text: &str| {
        let _ = writeln!(std::io::stderr(), "guest-test: {:5.1} s  {text}", started.elapsed().as_secs_f64());
    };
    say("packages");
    let cache = args.cache.clone().unwrap_or_else(default_cache);
    let system = packages::fetch(&cache)?;
    if let Err(reason) = &system.with_iommufd {
        say(&format!(
            "!!! SKIPPED: the cdev interface is NOT tested, for want of modules with iommufd: {reason}"
        ));
    }
    say("kiln and kiln-sim");
    let programs = build(args.no_build)?;
    let folder = tempfile::tempdir().map_err(at("a temporary folder"))?;
    let compiled = folder.path().join("compiled");
    let kiln = programs.join("kiln");
    run_program(
        Command::new(&kiln)
            .args(["compile", "--model", &format!("{MODEL}.onnx"), "--calibration"])
            .arg(format!("{MODEL}.calibration.json"))
            .arg("-o")
            .arg(&compiled),
    )?;
    let initrd = folder.path().join("initrd");
    let mut archive = initial_files(&system, &kiln, &compiled, folder.path())?;
    archive.file_from("firmware", &firmware(&programs, &args.profile, folder.path())?)?;
    archive.write_to(&initrd)?;
    say("the driver over a socket");
    measure_over_socket(&programs, &args.profile, folder.path(), &say)?;
    say("card");
    let socket = folder.path().join("card.sock");
    let _card = Served::start(&programs.join("kiln-sim"), &socket, &args.profile, &[])?;
    say("guest");
    let limit = Duration::from_secs(args.limit_s);
    let mut lines = |line: &str| {
        if args.verbose || line.contains("check") || line.starts_with("guest:") {
            say(line);
        }
    };
    let seen = watch(machine::start(&system, &initrd, &socket)?, limit, &mut lines)?;
    let interfaces: &[&str] = if system.with_iommufd.is_ok() { &["group", "cdev"] } else { &["group"] };
    judge(&seen, interfaces)?;
    verify(&kiln, &compiled, folder.path(), &seen)?;
    say(&format!("passed: {} checks in the guest, and its proof verified outside", seen.checks));
    Ok(())
}

/// What the driver costs without a kernel in between, to compare with the guest: by a server that serves one client only.
fn measure_over_socket(
    programs: &Path,
    profile: &str,
    scratch: &Path,
    say: &dyn Fn(&str),
) -> Result<(), Failure> {
    let socket = scratch.join("once.sock");
    let _card = Served::start(&programs.join("kiln-sim"), &socket, profile, &["--once"])?;
    let address = format!("vfio-user:{}", socket.display());
    let output = run_program(Command::new(programs.join("kiln")).args(["card", "bench", &address, "--yes"]))?;
    String::from_utf8_lossy(&output.stdout).lines().skip(1).for_each(|line| say(&format!("socket: {line}")));
    Ok(())
}

fn default_cache() -> PathBuf {
    let home = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    home.or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache")))
        .unwrap_or_else(std::env::temp_dir)
        .join("kiln-guest")
}

/// Builds the programs; returns their folder, which is this program's own.
fn build(as_they_are: bool) -> Result<PathBuf, Failure> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    if !as_they_are {
        // As `cargo run --release` builds it: where that was done, nothing is left to do. Tests build it with more features.
        run_program(Command::new(&cargo).args(["build", "--release", "--package", "kiln", "--bin", "kiln"]))?;
        // A workspace of its own, which builds into the same folder.
        run_program(Command::new(&cargo).args(["build", "--release"]).current_dir("hw-sim/server"))?;
    }
    let own = std::env::current_exe().map_err(at("this program"))?;
    Ok(own.parent().unwrap_or(Path::new(".")).to_owned())
}

/// A firmware image that the simulated card takes.
fn firmware(programs: &Path, profile: &str, scratch: &Path) -> Result<PathBuf, Failure> {
    let image = scratch.join("firmware");
    run_program(
        Command::new(programs.join("kiln-sim"))
            .args(["image", "--version", "1.2", "--insecure-test-key", "--profile", profile, "-o"])
            .arg(&image),
    )?;
    Ok(image)
}

/// Everything that the guest has: a shell, the kernel's modules, kiln with its libraries, and the compiled model.
fn initial_files(
    system: &packages::System,
    kiln: &Path,
    compiled: &Path,
    scratch: &Path,
) -> Result<Archive, Failure> {
    let mut archive = Archive::default();
    for folder in ["bin", "proc", "sys", "dev", "tmp", "modules", "compiled"] {
        archive.folder(folder);
    }
    archive.program("init", include_bytes!("guest/init.sh"));
    archive.file_from("bin/busybox", &system.busybox)?;
    let stripped = scratch.join("kiln");
    run_program(Command::new("strip").arg("-o").arg(&stripped).arg(kiln))?;
    archive.file_from("bin/kiln", &stripped)?;
    for library in libraries(kiln)? {
        archive.file_from(&library.to_string_lossy(), &library)?;
    }
    for (name, module) in &system.modules {
        let unpacked = run_program(Command::new("xz").arg("-dc").arg(module))?.stdout;
        archive.program(&format!("modules/{name}.ko"), &unpacked);
    }
    for (name, module) in system.with_iommufd.iter().flatten() {
        archive.file_from(&format!("modules-iommufd/{name}.ko"), module)?;
    }
    let entries = std::fs::read_dir(compiled).map_err(at(compiled))?;
    for entry in entries {
        let path = entry.map_err(at(compiled))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        archive.file_from(&format!("compiled/{name}"), &path)?;
    }
    archive.file_from("record.json", Path::new(&format!("{MODEL}.record.json")))?;
    Ok(archive)
}

/// Shared libraries of a program, its loader included, by the paths at which it looks for them.
fn libraries(program: &Path) -> Result<Vec<PathBuf>, Failure> {
    let output = run_program(Command::new("ldd").arg(program))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok(text.split_whitespace().filter(|word| word.starts_with('/')).map(PathBuf::from).collect())
}

/// A simulated card in a process of its own; ended when this is dropped.
struct Served(Child);

impl Served {
    fn start(program: &Path, socket: &Path, profile: &str, more: &[&str]) -> Result<Served, Failure> {
        let child = Command::new(program)
            .args(["serve", "--profile", profile, "--socket"])
            .arg(socket)
            .args(more)
            .stdout(Stdio::piped())
            .spawn()
            .map_err(at(program))?;
        let mut served = Served(child);
        let mut line = String::new();
        if let Some(output) = served.0.stdout.take() {
            BufReader::new(output).read_line(&mut line).map_err(at(program))?;
        }
        if line.starts_with("ready ") {
            Ok(served)
        } else {
            Err(Failure::Test("the card did not start".into()))
        }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Follows the guest's serial line until the machine ends, or until the limit, when it is ended.
fn watch(mut machine: Child, limit: Duration, lines: &mut dyn FnMut(&str)) -> Result<Seen, Failure> {
    let (sender, receiver) = std::sync::mpsc::channel();
    if let Some(output) = machine.stdout.take() {
        // Ends with the machine's output.
        std::thread::spawn(move || {
            for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
                if sender.send(String::from_utf8_lossy(&line).trim_end().to_owned()).is_err() {
                    return;
                }
            }
        });
    }
    let end = Instant::now() + limit;
    let mut seen = Seen::default();
    let mut last = String::new();
    let outcome = loop {
        match receiver.recv_timeout(end.saturating_duration_since(Instant::now())) {
            Ok(line) => {
                lines(&line);
                seen.take(&line);
                last = line;
            }
            Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => break Ok(seen),
            Err(std::sync::mpsc::RecvTimeoutError::Timeout) => {
                break Err(Failure::Test(format!(
                    "the guest did not end within {} s; its last line: {last}",
                    limit.as_secs()
                )));
            }
        }
    };
    let _ = machine.kill();
    let _ = machine.wait();
    outcome
}

impl Seen {
    fn take(&mut self, line: &str) {
        if let Some(hex) = line.strip_prefix("PROOF ") {
            self.proof.push_str(hex.trim());
        } else if let Some(hex) = line.strip_prefix("PUBLIC ") {
            self.public.push_str(hex.trim());
        } else if let Some(code) = line.strip_prefix("GUEST-RC=") {
            self.exit_code = code.trim().parse().ok();
        } else if let Some(name) = line.strip_prefix("guest: interface ") {
            self.interfaces.push(name.trim().to_owned());
        } else if let Some(rest) = line.strip_prefix("check ") {
            self.checks += 1;
            if !rest.starts_with("passed") {
                self.failed.push(rest.to_owned());
            }
        }
    }
}

/// Passed: no check failed, each interface had a suite's worth of them, and the guest came to its end.
fn judge(seen: &Seen, interfaces: &[&str]) -> Result<(), Failure> {
    if !seen.failed.is_empty() {
        return Err(Failure::Test(format!("in the guest, {}", seen.failed.join("; "))));
    }
    match seen.exit_code {
        Some(0) if seen.interfaces != interfaces => Err(Failure::Test(format!(
            "the guest tested the interfaces {:?}, and {interfaces:?} were expected",
            seen.interfaces
        ))),
        Some(0) if seen.checks > SUITE * interfaces.len() => Ok(()),
        Some(0) => Err(Failure::Test(format!("only {} checks ran in the guest", seen.checks))),
        Some(code) => Err(Failure::Test(format!("the guest ended with {code}; run with --verbose"))),
        None => Err(Failure::Test("the guest ended without a result; run with --verbose".into())),
    }
}

/// Verifies the guest's proof with nothing but the three files.
fn verify(kiln: &Path, compiled: &Path, folder: &Path, seen: &Seen) -> Result<(), Failure> {
    let (proof, public) = (folder.join("proof"), folder.join("public"));
    for (path, hex) in [(&proof, &seen.proof), (&public, &seen.public)] {
        let bytes =
            from_hex(hex).ok_or_else(|| Failure::Test("the guest's files did not arrive whole".into()))?;
        std::fs::write(path, bytes).map_err(at(path))?;
    }
    run_program(
        Command::new(kiln)
            .arg("verify")
            .arg("--proof")
            .arg(&proof)
            .arg("--vk")
            .arg(compiled.join("model.vk"))
            .arg("--public")
            .arg(&public),
    )?;
    Ok(())
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    if text.is_empty() || !text.len().is_multiple_of(2) || !text.is_ascii() {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serial_line_is_understood() {
        let mut seen = Seen::default();
        for line in [
            "noise",
            "guest: interface group",
            "check passed registers: fine",
            "PROOF 00ff",
            "PROOF 1a",
            "PUBLIC 7b",
            "GUEST-RC=0",
        ] {
            seen.take(line);
        }
        assert_eq!((seen.checks, seen.exit_code, seen.proof.as_str()), (1, Some(0), "00ff1a"));
        assert_eq!(from_hex(&seen.proof), Some(vec![0, 0xff, 0x1a]));
        assert!(judge(&seen, &["group"]).is_err(), "one check is not a suite");
        seen.checks = 18;
        assert!(judge(&seen, &["group"]).is_ok());
        assert!(judge(&seen, &["group", "cdev"]).is_err(), "an interface is missing");
        seen.take("guest: interface cdev");
        assert!(judge(&seen, &["group", "cdev"]).is_err(), "one suite for two interfaces");
        seen.checks = 36;
        assert!(judge(&seen, &["group", "cdev"]).is_ok());
        seen.take("check FAILED link: none");
        assert!(judge(&seen, &["group", "cdev"]).is_err());
    }

    #[test]
    fn broken_hexadecimal_is_refused() {
        for text in ["", "0", "0g", "+1", "é0"] {
            assert_eq!(from_hex(text).filter(|_| text != "+1"), None, "{text}");
        }
    }
}
