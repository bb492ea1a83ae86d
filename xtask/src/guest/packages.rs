//! QEMU and a kernel from Debian's packages: fetched by apt, checked against Debian's signatures, unpacked into a
//! folder. Nothing is installed.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::{Failure, run};

/// Where packages come from. QEMU speaks vfio-user since 10.1, which is newer than what the release has.
const SOURCES: &str = "\
deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian trixie main
deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian trixie-backports main
";
const QEMU: &str = "qemu-system-x86";
/// Names the current kernel package.
const KERNEL: &str = "linux-image-cloud-amd64";
const SHELL: &str = "busybox-static";
/// Modules of the guest's kernel, each after those it needs.
const MODULES: [&str; 5] = ["irqbypass", "vfio", "vfio_iommu_type1", "vfio-pci-core", "vfio-pci"];
/// Written last, so that a folder without it is fetched again.
const COMPLETE: &str = "complete";

/// What was fetched.
#[derive(Debug)]
pub struct System {
    root: PathBuf,
    /// The guest's kernel.
    pub kernel: PathBuf,
    /// A static shell.
    pub busybox: PathBuf,
    /// Names and packed files of the kernel's modules, in the order of loading.
    pub modules: Vec<(String, PathBuf)>,
}

impl System {
    /// QEMU, run by the loader and with the libraries that were fetched with it.
    pub fn qemu(&self) -> Command {
        let libraries = self.root.join("usr/lib/x86_64-linux-gnu");
        let mut command = Command::new(libraries.join("ld-linux-x86-64.so.2"));
        command.arg("--library-path").arg(&libraries).arg(self.root.join("usr/bin/qemu-system-x86_64"));
        for data in ["usr/share/qemu", "usr/share/seabios"] {
            command.arg("-L").arg(self.root.join(data));
        }
        command
    }
}

/// Fetches what is not in the cache yet.
///
/// # Errors
/// [`Failure::Packages`] when it cannot be had.
pub fn fetch(cache: &Path) -> Result<System, Failure> {
    let unavailable = |failure: Failure| Failure::Packages(failure.to_string());
    if !cache.join(COMPLETE).exists() {
        fetch_all(cache).map_err(unavailable)?;
    }
    find(cache).map_err(unavailable)
}

fn fetch_all(cache: &Path) -> Result<(), Failure> {
    let missing = |path: &Path| crate::error::at(path.to_owned());
    // What an earlier try left would only confuse.
    if cache.exists() {
        std::fs::remove_dir_all(cache).map_err(missing(cache))?;
    }
    let apt = cache.join("apt");
    for folder in ["state/lists/partial", "cache/archives/partial", "etc/preferences.d"] {
        let path = apt.join(folder);
        std::fs::create_dir_all(&path).map_err(missing(&path))?;
    }
    let write = |name: &str, text: &str| {
        let path = apt.join(name);
        std::fs::write(&path, text).map_err(missing(&path))
    };
    write("state/status", "")?;
    write("etc/sources.list", SOURCES)?;
    write("apt.conf", &configuration(&apt))?;
    let tool = |name: &str| {
        let mut command = Command::new(name);
        command.env("APT_CONFIG", apt.join("apt.conf")).env("LC_ALL", "C");
        command
    };
    run(tool("apt-get").arg("update"))?;
    let kernel = kernel_package(&mut tool("apt-cache"))?;
    let install = ["install", "--yes", "--download-only", "-t", "trixie-backports", QEMU];
    run(tool("apt-get").args(install))?;
    let archives = apt.join("cache/archives");
    run(tool("apt-get").args(["download", &kernel, SHELL]).current_dir(&archives))?;
    let root = cache.join("root");
    let entries = std::fs::read_dir(&archives).map_err(missing(&archives))?;
    for entry in entries {
        let path = entry.map_err(missing(&archives))?.path();
        if path.extension().is_some_and(|extension| extension == "deb") {
            run(Command::new("dpkg-deb").arg("-x").arg(&path).arg(&root))?;
        }
    }
    // The packages are unpacked; kept twice they would only fill the disk.
    std::fs::remove_dir_all(&apt).map_err(missing(&apt))?;
    let complete = cache.join(COMPLETE);
    std::fs::write(&complete, kernel).map_err(missing(&complete))
}

/// Everything of apt's in one folder, so that neither root nor the machine's own packages matter.
fn configuration(apt: &Path) -> String {
    format!(
        "Dir \"{apt}\";\nDir::State \"state\";\nDir::State::status \"{apt}/state/status\";\nDir::Cache \"cache\";\n\
         Dir::Etc \"etc\";\nDir::Etc::sourcelist \"sources.list\";\nDir::Etc::sourceparts \"/dev/null\";\n\
         APT::Architecture \"amd64\";\nAPT::Architectures {{ \"amd64\"; }};\nAPT::Install-Recommends \"false\";\n\
         APT::Sandbox::User \"\";\nAcquire::Languages \"none\";\nAcquire::Retries \"2\";\nAcquire::http::Timeout \"20\";\n\
         Debug::NoLocking \"true\";\n",
        apt = apt.display()
    )
}

fn kernel_package(apt_cache: &mut Command) -> Result<String, Failure> {
    let output = run(apt_cache.args(["depends", KERNEL]))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let name = text.lines().find_map(|line| line.trim().strip_prefix("Depends: linux-image-"));
    name.map(|name| format!("linux-image-{name}"))
        .ok_or_else(|| Failure::Packages(format!("{KERNEL} names no kernel: {text}")))
}

fn find(cache: &Path) -> Result<System, Failure> {
    let root = cache.join("root");
    let gone =
        |what: &str| Failure::Packages(format!("{what} is not in {}; remove that folder", root.display()));
    let kernel = std::fs::read_dir(root.join("boot"))
        .ok()
        .and_then(|mut entries| {
            entries.find_map(|entry| {
                let path = entry.ok()?.path();
                path.file_name()?.to_string_lossy().starts_with("vmlinuz-").then_some(path)
            })
        })
        .ok_or_else(|| gone("a kernel"))?;
    let modules_root = root.join("usr/lib/modules");
    let modules_root = if modules_root.exists() { modules_root } else { root.join("lib/modules") };
    let modules = MODULES
        .iter()
        .map(|name| {
            let path = find_file(&modules_root, &format!("{name}.ko.xz"));
            path.map(|path| ((*name).to_owned(), path)).ok_or_else(|| gone(name))
        })
        .collect::<Result<_, _>>()?;
    let busybox = ["usr/bin/busybox", "bin/busybox"].map(|path| root.join(path));
    let busybox = busybox.into_iter().find(|path| path.exists()).ok_or_else(|| gone("busybox"))?;
    Ok(System { kernel, busybox, modules, root })
}

fn find_file(folder: &Path, name: &str) -> Option<PathBuf> {
    let entries = std::fs::read_dir(folder).ok()?;
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() && !path.is_symlink() {
            if let Some(found) = find_file(&path, name) {
                return Some(found);
            }
        } else if path.file_name().is_some_and(|found| found == name) {
            return Some(path);
        }
    }
    None
}
