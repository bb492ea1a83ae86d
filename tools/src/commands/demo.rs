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
