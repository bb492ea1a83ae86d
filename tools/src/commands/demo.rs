//! Proves what a machine-learning model answered, without showing the model or the record.
//!
//! Without a command, Kiln shows itself at work on real data: it calibrates and compiles a small diagnostic model (the
//! Wisconsin breast-cancer records), commits to its weights, proves what it says about one patient on a simulated
//! accelerator card, with the weights and the record hidden, and verifies the proof from its bytes alone. It needs no
//! file, no network and no card, and leaves nothing on disk.
//!
//! ```console
//! $ kiln                      # on the simulated card
//! $ kiln demo --backend cpu   # the same on this machine's processor
//! ```
//! The way to prove a model of your own:
//!
//! ```console
//! $ kiln compile --model m.onnx --calibration c.json -o compiled
//! $ kiln prove --compiled compiled --record r.json -o proof.bin --public public.json
//! $ kiln verify --proof proof.bin --vk compiled/model.vk --public public.json
//! ```

use std::fmt;

use kiln_plonk::Randomness;
use serde::{Deserialize, Serialize};

use crate::backend::{self, Backend};
use crate::compiled::{Compiled, Options, Shape};
use crate::error::Failure;
use crate::hexadecimal;
use crate::meaning::{InputVisibility, WeightVisibility};
use crate::output::{self, Format, Report};
use crate::progress::{Phase, Progress};
use crate::resources::{Snapshot, Used};
use crate::usage::{self, DeviceUsage};

const MODEL: &[u8] = include_bytes!("../../../circuits/models/diagnostic.onnx");
const CALIBRATION: &[u8] = include_bytes!("../../../circuits/models/diagnostic.calibration.json");
const RECORD: &[u8] = include_bytes!("../../../circuits/models/diagnostic.record.json");
const HELD_OUT: &[u8] = include_bytes!("../../../circuits/models/diagnostic.test.json");
/// In the order of the model's outputs.
const CLASSES: [&str; 2] = ["malignant", "benign"];

/// Arguments of `kiln demo`, and of `kiln` alone.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where the heavy work is done: `cpu`, or `card:PROFILE` (see `kiln card list`)
    #[arg(long, value_name = "cpu|card:PROFILE", default_value = "card:u55c")]
    backend: Backend,
    /// How to print the result
    #[command(flatten)]
    pub format: Format,
}

/// What the demonstration showed.
#[derive(Debug, Serialize)]
pub struct Shown {
    model: String,
    accuracy: Accuracy,
    shape: Shape,
    model_commitment: String,
    weights: WeightVisibility,
    input_visibility: InputVisibility,
    insecure: bool,
    output: Vec<i64>,
    output_scale: f64,
    logits: Vec<f64>,
    class: usize,
    class_name: &'static str,
    backend: String,
    proof_bytes: usize,
    verified: bool,
    phases: Vec<Phase>,
    devices: Vec<DeviceUsage>,
    used: Used,
}
