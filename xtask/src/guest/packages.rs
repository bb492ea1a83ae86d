//! QEMU and a kernel from Debian's packages: fetched by apt, checked against Debian's signatures, unpacked into a
//! folder. Nothing is installed.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::iommufd;
use crate::error::{Failure, run};

/// Where packages come from. QEMU speaks vfio-user since 10.1, which is newer than what the release has. The kernel is the
/// one for Debian 12, because what builds its modules runs there and on everything newer.
const SOURCES: &str = "\
deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian trixie main
deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian trixie-backports main
deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian bookworm-backports main
";
const QEMU_SUITE: &str = "trixie-backports";
const KERNEL_SUITE: &str = "bookworm-backports";
const QEMU: &str = "qemu-system-x86";
/// Names the current kernel package.
const KERNEL: &str = "linux-image-cloud-amd64";
const SHELL: &str = "busybox-static";
/// Modules of the guest's kernel, each after those it needs.
const MODULES: [&str; 5] = ["irqbypass", "vfio", "vfio_iommu_type1", "vfio-pci-core", "vfio-pci"];
/// Written last, so that a folder without it is fetched again. The number grows when something else is fetched.
const COMPLETE: &str = "complete-2";
/// Why there are no modules with iommufd.
const NO_IOMMUFD: &str = "no-iommufd";

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
    /// The same with iommufd, built here, or why they could not be built.
    pub with_iommufd: Result<Vec<(String, PathBuf)>, String>,
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
    let kernel = Kernel::current(&mut tool("apt-cache"))?;
    let install = ["install", "--yes", "--download-only", "-t", QEMU_SUITE, QEMU];
    run(tool("apt-get").args(install))?;
    let archives = apt.join("cache/archives");
    let download = |packages: &[&str]| {
        let download = ["download", "-t", KERNEL_SUITE];
        run(tool("apt-get").args(download).args(packages).current_dir(&archives))
    };
    download(&[&format!("linux-image-{}", kernel.release), SHELL])?;
    let for_modules = kernel.packages_for_modules();
    let source = download(&for_modules.each_ref().map(String::as_str));
    let root = cache.join("root");
    let entries = std::fs::read_dir(&archives).map_err(missing(&archives))?;
    for entry in entries {
        let path = entry.map_err(missing(&archives))?.path();
        if path.extension().is_some_and(|extension| extension == "deb") {
            run(Command::new("dpkg-deb").arg("-x").arg(&path).arg(&root))?;
        }
    }
    // Without it the rest is tested as well, and it is said each time that this is not.
    let built = source.and_then(|_| iommufd::build(&root, &kernel.release, &kernel.series));
    if let Err(failure) = built {
        let path = cache.join(NO_IOMMUFD);
        std::fs::write(&path, failure.to_string()).map_err(missing(&path))?;
    }
    // The packages are unpacked; kept twice they would only fill the disk.
    std::fs::remove_dir_all(&apt).map_err(missing(&apt))?;
    let complete = cache.join(COMPLETE);
    std::fs::write(&complete, kernel.release).map_err(missing(&complete))
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

/// A kernel's version: release `6.12.95+deb12-cloud-amd64`, of the series `6.12`.
#[derive(Debug, PartialEq, Eq)]
struct Kernel {
    release: String,
    series: String,
}

impl Kernel {
    fn current(apt_cache: &mut Command) -> Result<Kernel, Failure> {
        let target = format!("APT::Default-Release={KERNEL_SUITE}");
        let output = run(apt_cache.args(["-o", &target, "depends", KERNEL]))?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        Kernel::named_in(&text).ok_or_else(|| Failure::Packages(format!("{KERNEL} names no kernel: {text}")))
    }

    /// From what apt says that the package of the current kernel depends on.
    fn named_in(depends: &str) -> Option<Kernel> {
        let release =
            depends.lines().find_map(|line| line.trim().strip_prefix("Depends: linux-image-"))?.trim();
        let mut numbers = release.split('.');
        let series = format!("{}.{}", numbers.next()?, numbers.next()?);
        Some(Kernel { release: release.to_owned(), series })
    }

    /// Source and headers, and what builds modules with them.
    fn packages_for_modules(&self) -> [String; 4] {
        let Kernel { release, series } = self;
        let version = release.split_once('-').map_or(&**release, |(version, _)| version);
        [
            format!("linux-headers-{release}"),
            format!("linux-headers-{version}-common"),
            format!("linux-kbuild-{version}"),
            format!("linux-source-{series}"),
        ]
    }
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
    let with_iommufd = iommufd::find(&root).ok_or_else(|| {
        std::fs::read_to_string(cache.join(NO_IOMMUFD)).unwrap_or_else(|_| "they are missing".to_owned())
    });
    Ok(System { kernel, busybox, modules, with_iommufd, root })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_of_a_kernel_are_named_after_it() {
        let text = "linux-image-cloud-amd64\n  Depends: linux-image-6.12.95+deb12-cloud-amd64\n";
        let kernel = Kernel::named_in(text).expect("a kernel");
        assert_eq!((&*kernel.release, &*kernel.series), ("6.12.95+deb12-cloud-amd64", "6.12"));
        let expected = [
            "linux-headers-6.12.95+deb12-cloud-amd64",
            "linux-headers-6.12.95+deb12-common",
            "linux-kbuild-6.12.95+deb12",
            "linux-source-6.12",
        ];
        assert_eq!(kernel.packages_for_modules(), expected);
        for text in ["", "  Depends: linux-base", "  Depends: linux-image-6"] {
            assert_eq!(Kernel::named_in(text), None, "{text}");
        }
    }
}
