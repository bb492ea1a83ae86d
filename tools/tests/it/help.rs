//! Help as it is printed. After a wanted change, look at the difference and accept it (`INSTA_UPDATE=always`).

use crate::support::kiln;

#[test]
fn help_is_what_was_reviewed() {
    for (name, arguments) in [
        ("kiln", &["--help"][..]),
        ("compile", &["compile", "--help"]),
        ("setup", &["setup", "--help"]),
        ("prove", &["prove", "--help"]),
        ("verify", &["verify", "--help"]),
        ("range", &["range", "--help"]),
        ("run", &["run", "--help"]),
        ("tune", &["tune", "--help"]),
        ("verifier", &["verifier", "--help"]),
        ("verifier_solidity", &["verifier", "solidity", "--help"]),
        ("verifier_calldata", &["verifier", "calldata", "--help"]),
        ("card", &["card", "--help"]),
        ("card_fw", &["card", "fw", "--help"]),
        ("card_events", &["card", "events", "--help"]),
        ("card_fw_install", &["card", "fw", "install", "--help"]),
        ("bench", &["bench", "--help"]),
        ("bench_verify", &["bench", "verify", "--help"]),
    ] {
        let run = kiln(arguments).succeeds();
        assert_eq!(run.stderr, "");
        insta::assert_snapshot!(name, run.stdout);
    }
}

#[test]
fn usage_errors_exit_with_2_and_print_no_result() {
    for arguments in [
        &["no-such-command"][..],
        &["prove"],
        &["verify", "--proof", "p"],
        &["setup", "--rows-log2", "99", "-o", "x"],
        &["setup", "--rows-log2", "many", "-o", "x"],
        &["setup", "--rows-log2", "4", "-o", "x", "--expect-fingerprint", &"0".repeat(64)],
        &["setup", "--rows-log2", "4", "-o", "x", "--ptau", "p", "--expect-fingerprint", "0f"],
        &["--backend", "gpu"],
        &["card", "info"],
        &["verifier", "solidity", "--vk", "k"],
        &["bench", "kernels", "--sizes", "99"],
    ] {
        let run = kiln(arguments);
        assert_eq!(run.code, 2, "{run:#?}");
        assert_eq!(run.stdout, "");
        assert!(run.stderr.starts_with("error: "), "{run:#?}");
    }
}
