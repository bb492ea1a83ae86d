//! Nothing that the program prints or publishes holds a secret: neither the record nor the weights' blinding.

use std::fs;
use std::panic::catch_unwind;
use std::path::Path;

use crate::support::{Proven, Run, diagnostic, kiln, model_file, verify};

/// Secrets as text (numbers as they might be printed) and as bytes (blinding, in files or printed in hexadecimal).
struct Secrets {
    texts: Vec<String>,
    bytes: Vec<[u8; 32]>,
}

/// The committed record, with digits behind each number that occur nowhere else.
fn record() -> String {
    let record = fs::read_to_string(model_file("diagnostic.record.json")).unwrap();
    let numbers = record.trim().trim_matches(['[', ']']).split(',').zip(31_415_926..);
    let numbers: Vec<String> = numbers.map(|(number, more)| format!("{}{more}", number.trim())).collect();
    format!("[{}]", numbers.join(","))
}

/// The record's numbers, and the words of the secret half of the model commitment.
fn secrets(proven: &Proven) -> Secrets {
    let record = record();
    let numbers = record.trim_matches(['[', ']']).split(',').map(|number| number.trim_start_matches('-'));
    let as_read = |number: &str| number.parse::<f32>().unwrap().to_string();
    let texts = numbers
        .flat_map(|number| [number[..9].to_owned(), as_read(number)])
        .filter(|text| text.len() >= 8)
        .collect();
    let file = fs::read(proven.path("compiled/model.secret")).unwrap();
    // The blinding of a column: three scalars, with their number in front.
    let length = [0, 0, 0, 0, 0, 0, 0, 3];
    let mut bytes = Vec::new();
    for start in 0..file.len().saturating_sub(8 + 3 * 32) {
        if file[start..start + 8] == length {
            bytes.extend(file[start + 8..start + 8 + 96].as_chunks().0);
        }
    }
    // Columns of small integers look like that too in places, but hold zeros.
    bytes.retain(|word: &[u8; 32]| word.iter().filter(|byte| **byte == 0).count() < 4);
    Secrets { texts, bytes }
}

impl Secrets {
    #[track_caller]
    fn assert_not_in(&self, name: &str, content: &[u8]) {
        let text = String::from_utf8_lossy(content);
        for secret in &self.texts {
            assert!(!text.contains(secret.as_str()), "{name} holds {secret} of the record");
        }
        for secret in &self.bytes {
            let digits: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
            assert!(!text.contains(&digits), "{name} holds blinding in hexadecimal");
            assert!(!content.windows(32).any(|window| window == secret), "{name} holds blinding");
        }
    }

    #[track_caller]
    fn assert_not_said(&self, name: &str, run: &Run) {
        self.assert_not_in(name, run.stdout.as_bytes());
        self.assert_not_in(name, run.stderr.as_bytes());
    }
}

#[test]
fn neither_output_nor_public_files_hold_a_secret() {
    let proven = diagnostic();
    let secrets = secrets(proven);
    assert!(secrets.texts.len() > 50 && secrets.bytes.len() >= 12, "there is something to look for");
    let place = tempfile::tempdir().unwrap();
    let path = |name: &str| place.path().join(name).to_str().unwrap().to_owned();
    let [record_path, proof, public] = ["record.json", "proof", "public.json"].map(path);
    fs::write(&record_path, record()).unwrap();
    let compiled = proven.text("compiled");
    let common: [&str; 9] =
        ["prove", "--compiled", &compiled, "--record", &record_path, "-o", &proof, "--public", &public];
    for more in [vec!["--json"], vec![], vec!["--json", "--backend", "card:u55c"]] {
        let run = kiln(&[&common[..], &more[..]].concat()).succeeds();
        assert!(run.stdout.len() > 50, "{run:#?}");
        secrets.assert_not_said(&format!("prove {more:?}"), &run);
    }
    let key = proven.path("compiled/model.vk");
    let run = verify(Path::new(&proof), &key, Path::new(&public)).succeeds();
    secrets.assert_not_said("verify", &run);
    let read = |path: &Path| fs::read(path).unwrap();
    let [commitment, proving] = ["compiled/model.json", "compiled/proving.key"].map(|name| proven.path(name));
    for path in [Path::new(&proof), Path::new(&public), &key, &commitment, &proving] {
        secrets.assert_not_in(&path.display().to_string(), &read(path));
    }
    // They would be found: the record's own file, and that of the secret half, are full of them.
    let found = |path: &Path| catch_unwind(|| secrets.assert_not_in("", &read(path))).is_err();
    assert!(found(Path::new(&record_path)) && found(&proven.path("compiled/model.secret")));
}

#[test]
fn errors_about_a_record_do_not_quote_it() {
    let proven = diagnostic();
    let secrets = secrets(proven);
    let place = tempfile::tempdir().unwrap();
    let record = record();
    let path = place.path().join("r.json");
    for broken in [
        record.replacen(',', ";", 1),
        record.replacen('[', "{", 1),
        record.replace(']', ",1]"),
        record.replace(']', ""),
        record.replacen('.', ".x", 1),
        record.replacen(',', ",1e300,", 1),
        format!("[{record}]"),
        format!("{record}{record}"),
    ] {
        fs::write(&path, &broken).unwrap();
        let [compiled, proof, public] = ["compiled", "never.bin", "never.json"].map(|name| proven.text(name));
        let record = path.to_str().unwrap();
        let run =
            kiln(&["prove", "--compiled", &compiled, "--record", record, "-o", &proof, "--public", &public]);
        secrets.assert_not_said("an error", &run.fails(2));
    }
}
