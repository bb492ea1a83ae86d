//! A compiled model: what `kiln compile` makes and `kiln prove` uses.

use std::fmt;
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};

use kiln_circuits::data::TestSet;
use kiln_circuits::lower::{Lowered, PlanOptions, PlanReport, Rates, Target, Visibility, lower_at, predict};
use kiln_circuits::{
    FloatModel, IntGraph, QuantiseReport, Trace, WeightRange, WeightValues, import, measure_layers,
    quantise_record, run,
};
use kiln_kernels::{Engine, KernelFailure};
use kiln_plonk::{
    ColumnValues, CommittedPublic, CommittedSecret, KeyError, MemoryPlan, ProcessorArithmetic, ProveError,
    ProvingKey, ProvingKeyError, Randomness, Srs, Statement, VerifyingKey, Work, commit_group, keygen, prove,
    prove_within,
};
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, Zeroizing};

use crate::artefact::{self, Audience, LARGE_FILE_BYTES_MAX, SMALL_FILE_BYTES_MAX, StagedDirectory};
use crate::commands::setup;
use crate::container;
use crate::error::{Failure, Source};
use crate::fidelity::{Fidelity, MeasuredOn};
use crate::inputs::{self, Inputs};
use crate::meaning::{self, InputVisibility, Meaning, Port, WeightVisibility};
use crate::memory::{MemoryArgs, MemoryUse, plan_within};
use crate::mixed::MixedSearch;
use crate::progress::Progress;
use crate::public::{
    Commitment, INPUT_GROUP, MODEL_GROUP, NamedTensor, PublicFile, PublicInput, PublicTensor,
};
use crate::quantisation::{Quantisation, Quantised};
use crate::range::RangeProof;
use crate::resources::memory_in_use;

const VERIFYING_KEY: &str = "model.vk";
const PROVING_KEY: &str = "proving.key";
const SRS: &str = "srs";
const COMMITMENT: &str = "model.json";
const SECRET: &str = "model.secret";
const GRAPH: &str = "model.kiln";

/// The integer graph, the weights and how they are laid out, as a file; its body is in `postcard`'s format.
const GRAPH_FILE: container::Kind = container::Kind { magic: *b"KILN-IG\n", version: 6 };
/// A record's commitment, as a file.
const INPUT_FILE: container::Kind = container::Kind { magic: *b"KILN-IC\n", version: 1 };
/// What is written of a proving key at a time.
const WRITE_BYTES: usize = 1 << 20;
/// Version of the published commitment.
const COMMITMENT_SCHEMA: &str = "kiln.model/1";

/// What is asked of a compilation.
#[derive(Clone, Debug)]
pub struct Options {
    /// What the model is called.
    pub name: String,
    /// Who sees the record, or which input of several.
    pub input: Inputs,
    /// Who sees the weights.
    pub weights: WeightVisibility,
    /// What the circuit is laid out for.
    pub target: Target,
    /// How the model becomes integers.
    pub quantise: Quantisation,
    /// What work takes where it is proven: the cheapest layout depends on it.
    pub rates: Rates,
    /// Records on which the two models are compared.
    pub compare: Compare,
}

/// Records on which the integer model is compared with the float model, layer by layer.
#[derive(Clone, Debug, Default)]
pub enum Compare {
    /// None.
    #[default]
    Nothing,
    /// As many of calibration as quantisation was judged by, at most.
    Calibration,
    /// Labelled ones.
    HeldOut(TestSet),
}

/// A compiled model.
pub struct Compiled {
    /// What its public values mean.
    pub meaning: Meaning,
    /// The model commitment.
    pub commitment: CommittedPublic,
    secret: CommittedSecret,
    key: ProvingKey,
    srs: Srs,
    /// Where it was read from.
    directory: Option<PathBuf>,
    graph: IntGraph,
    weights: WeightValues,
    lowered: Lowered,
    /// How far it is from the float model, where [`Compiled::make`] was asked for that.
    pub compared: Option<Compared>,
    /// The search for widths, where [`Compiled::make`] was asked for one.
    pub mixed: Option<MixedSearch>,
}

/// The integer model beside the float model.
#[derive(Clone, Debug)]
pub struct Compared {
    /// How often both are right, of labelled records.
    pub accuracy: Option<Accuracy>,
    /// Layer by layer.
    pub fidelity: Fidelity,
}

/// A proof and what it speaks about.
pub struct Proven {
    /// The proof.
    pub proof: Vec<u8>,
    /// The public values.
    pub public: PublicFile,
    /// How memory was used, if it was bounded.
    pub memory: Option<MemoryUse>,
    /// What it asked of kernels, as it was counted ahead.
    pub work: Work,
}

/// A commitment to a record, with its secret.
pub struct InputCommitment {
    secret: CommittedSecret,
    public: CommittedPublic,
}

impl InputCommitment {
    /// As a file.
    pub fn to_bytes(&self) -> Result<Zeroizing<Vec<u8>>, Failure> {
        const ACTION: &str = "write the record's commitment";
        let secret = Zeroizing::new(bytes_of(ACTION, |out| self.secret.write(out))?);
        Ok(Zeroizing::new(INPUT_FILE.wrap_pair(&self.public.to_file_bytes(), &secret)))
    }

    /// From a file.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn parse(bytes: &[u8]) -> Result<Self, Source> {
        let (public, secret) = INPUT_FILE.unwrap_pair(bytes)?;
        Ok(Self { public: CommittedPublic::from_file_bytes(public)?, secret: CommittedSecret::read(secret)? })
    }
}

/// How large a circuit is.
#[derive(Clone, Debug, Serialize)]
pub struct Shape {
    /// log2 of the rows.
    pub rows_log2: u32,
    /// Cells side by side in which tensors lie.
    pub lanes: usize,
    /// Columns that the prover commits to for each proof.
    pub advice_columns: usize,
    /// Columns of the model commitment.
    pub weight_columns: usize,
    /// What the model computes.
    pub multiply_accumulates: u64,
    /// Inputs, weights and outputs of all layers.
    pub layer_data: usize,
    /// Values that the model computes on its way, input and output included.
    pub activations: usize,
    /// Committed cells that hold data, small and full-width, weights included.
    pub cells: usize,
}

/// How often the float and the integer model are right on labelled records.
#[derive(Clone, Debug, Serialize)]
pub struct Accuracy {
    /// Records compared.
    pub records: usize,
    /// The float model is right.
    pub float_correct: usize,
    /// The integer model is right.
    pub integer_correct: usize,
}

#[derive(Deserialize)]
struct GraphFile {
    graph: IntGraph,
    weights: WeightValues,
    /// What the planner chose: it need not search again.
    layout: PlanOptions,
}

/// [`GraphFile`] as it is written, without a copy of the weights.
#[derive(Serialize)]
struct GraphFileView<'a> {
    graph: &'a IntGraph,
    weights: &'a WeightValues,
    layout: PlanOptions,
}

/// The published model commitment.
#[derive(Serialize, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct CommitmentFile {
    schema: String,
    name: String,
    #[serde(flatten)]
    commitment: Commitment,
}

impl Compiled {
    /// Compiles a model. Without `srs`, an insecure reference string of the right size is made. `randomness` blinds the
    /// model commitment.
    pub fn make(
        engine: &Engine,
        onnx: &[u8],
        calibration: &[Vec<f32>],
        options: Options,
        srs: Option<Srs>,
        randomness: Randomness,
        progress: &Progress,
    ) -> Result<Self, Failure> {
        let float = progress.phase("read the model", || import(onnx));
        let float = float.map_err(|e| Failure::refused("read the model", e))?;
        float.notes.iter().for_each(crate::output::note);
        let plan = PlanOptions { target: options.target, ..PlanOptions::default() };
        let mut predicted = |graph: &IntGraph| {
            // A name that no input has is refused below.
            let (input, inputs) = options.input.of(graph).unwrap_or((InputVisibility::Private, Vec::new()));
            let input = inputs::of_graph(input, &inputs).unwrap_or(kiln_circuits::InputVisibility::Private);
            let visibility = Visibility { input, weights: options.weights.into() };
            predict(graph, visibility, &plan, &options.rates)
        };
        let quantised = options.quantise.quantise(&float, calibration, &mut predicted, progress)?;
        let Quantised { graph, weights, report, mixed } = quantised;
        let meaning = meaning_of(&graph, &options)?;
        let lowered = {
            let lay_out = || {
                let mut lowered = lower_with(&graph, &meaning, &plan, &options.rates)?;
                lowered.predict(&options.rates).map_err(key_failure)?;
                Ok::<_, Failure>(lowered)
            };
            progress.phase("lay out the circuit", lay_out)?
        };
        let compared = {
            let integers = (&graph, &weights, &report);
            let compare = || compare(&float, integers, &options.compare, calibration, &lowered.report);
            match options.compare {
                Compare::Nothing => None,
                _ => Some(progress.phase("measure accuracy", compare)?),
            }
        };
        // Keys are what takes most memory, and need neither.
        drop((float, report));
        let srs = match srs {
            Some(srs) => srs,
            None => progress.phase("make the reference string", || setup::insecure_srs(lowered.circuit.k))?,
        };
        let (circuit, fixed) = (lowered.circuit.clone(), lowered.fixed.clone());
        let keys = progress.phase("make the keys", || keygen(engine, &srs, circuit, fixed));
        let (key, _) = keys.map_err(key_failure)?;
        let model = progress.phase("commit to the model", || {
            commit_to(engine, &srs, &lowered, &weights, options.weights, randomness)
        })?;
        let mut compiled = Self::of(meaning, model, key, srs, graph, weights, lowered);
        (compiled.compared, compiled.mixed) = (compared, mixed);
        Ok(compiled)
    }

    /// Of its parts: not read from files, and nothing said of how good it is.
    fn of(
        meaning: Meaning,
        (secret, commitment): (CommittedSecret, CommittedPublic),
        key: ProvingKey,
        srs: Srs,
        graph: IntGraph,
        weights: WeightValues,
        mut lowered: Lowered,
    ) -> Self {
        // The key has them.
        lowered.fixed = Vec::new();
        let (directory, compared, mixed) = (None, None, None);
        Self { meaning, commitment, secret, key, srs, directory, graph, weights, lowered, compared, mixed }
    }

    /// The same circuit and keys with other weights: another model, with another commitment.
    pub fn with_weights(
        &self,
        engine: &Engine,
        weights: WeightValues,
        randomness: Randomness,
    ) -> Result<Self, Failure> {
        let lowered = lower_with(&self.graph, &self.meaning, &self.lowered.options(), &Rates::default())?;
        let model = commit_to(engine, &self.srs, &lowered, &weights, self.meaning.weights, randomness)?;
        let (meaning, key, srs) = (self.meaning.clone(), self.key.clone(), self.srs.clone());
        let mut other = Self::of(meaning, model, key, srs, self.graph.clone(), weights, lowered);
        other.directory.clone_from(&self.directory);
        Ok(other)
    }

    /// Writes everything into a directory.
    pub fn write(&self, engine: &Engine, directory: &StagedDirectory) -> Result<(), Failure> {
        directory.add(VERIFYING_KEY, Audience::Anyone, &self.verifying_key_bytes())?;
        let key = directory.create(PROVING_KEY, Audience::Anyone)?;
        let key =
            self.key.write(engine, BufWriter::with_capacity(WRITE_BYTES, key)).map_err(|e| match e {
                ProvingKeyError::Kernel(source) => kernel_failure("write the proving key", source),
                other => Failure::refused("write the proving key", other),
            })?;
        let synced = key.into_inner().map_err(io::Error::from).and_then(|file| file.sync_all());
        synced.map_err(|e| Failure::refused("write the proving key", e))?;
        let path = directory.path(SRS);
        self.srs.write_to(&path).map_err(|e| Failure::refused("write the reference string", e))?;
        directory.add(COMMITMENT, Audience::Anyone, self.commitment_text().as_bytes())?;
        let secret = Zeroizing::new(bytes_of("write the model's secret", |out| self.secret.write(out))?);
        directory.add(SECRET, Audience::Owner, &secret)?;
        let layout = self.lowered.options();
        let file = GraphFileView { graph: &self.graph, weights: &self.weights, layout };
        let body = graph_bytes(&file).map_err(|e| Failure::refused("write the integer model", e))?;
        let file = Zeroizing::new(GRAPH_FILE.wrap(&body));
        directory.add(GRAPH, Audience::Owner, &file)
    }

    /// How a proof with these keys, as they lie in a directory, would use memory within a bound \[bytes\], in a process that holds what this one does, and
    /// what it asks of kernels.
    ///
    /// # Errors
    /// The files cannot be opened, or no proof fits the bound.
    pub fn planned(&self, directory: &Path, bound: Option<u64>) -> Result<(MemoryPlan, Work), Failure> {
        let (key, path) = (open_proving_key(directory)?, directory.join(SRS));
        let srs = Srs::open(&path).map_err(|e| Failure::file("open the reference string", &path, e))?;
        let witness = self.lowered.witness_to_come();
        let plan = plan_within((&key, &srs, &witness), memory_in_use(), bound).map_err(prove_failure)?;
        let work = Work::of(&key, &srs, &witness, &plan).map_err(|e| prove_failure(e.into()))?;
        Ok((plan, work))
    }

    /// Reads what [`Compiled::write`] wrote, and checks that the parts belong together.
    pub fn read(directory: &Path) -> Result<Self, Failure> {
        let key = open_proving_key(directory)?;
        let meaning = Meaning::from_text(&key.verifying_key().circuit().meaning)
            .map_err(|e| Failure::file("read the proving key", &directory.join(PROVING_KEY), e))?;
        let commitment = read_part(directory, COMMITMENT, "read the model commitment", parse_commitment)?;
        let secret = read_part(directory, SECRET, "read the model's secret", |bytes| {
            Ok(CommittedSecret::read(bytes)?)
        })?;
        let GraphFile { graph, weights, layout } =
            read_part(directory, GRAPH, "read the integer model", |bytes| {
                Ok(postcard::from_bytes(GRAPH_FILE.unwrap(bytes)?)?)
            })?;
        let path = directory.join(SRS);
        artefact::open("open the reference string", &path)?;
        let srs = Srs::open(&path).map_err(|e| Failure::file("open the reference string", &path, e))?;
        let lowered = lower_with(&graph, &meaning, &layout, &Rates::default())?;
        let mut compiled = Self::of(meaning, (secret, commitment), key, srs, graph, weights, lowered);
        compiled.directory = Some(directory.to_owned());
        compiled.check_parts()?;
        Ok(compiled)
    }

    /// The key knows the circuit; the graph says what it should be. (The labels of its rows are not in the key.)
    fn check_parts(&self) -> Result<(), Failure> {
        let Some(directory) = &self.directory else { return Ok(()) };
        let mut circuit = self.lowered.circuit.clone();
        circuit.regions.clear();
        let mut known = self.key.verifying_key().circuit().clone();
        known.regions.clear();
        let refuse = |reason: &str| Err(Failure::file("use", directory, reason.to_owned()));
        if circuit != known {
            return refuse(
                "its key is not of its model, or another version of kiln made it; compile the model again",
            );
        }
        let vk =
            artefact::read("read the verifying key", &directory.join(VERIFYING_KEY), LARGE_FILE_BYTES_MAX)?;
        if vk != self.verifying_key_bytes() {
            return refuse("its verifying key is not that of its proving key; compile the model again");
        }
        if self.srs.id() != self.key.verifying_key().srs().id {
            return refuse("its reference string is not that of its keys; compile the model again");
        }
        Ok(())
    }

    /// Reads all of the files that are used in place, and says which is damaged.
    ///
    /// # Errors
    /// What is wrong with the proving key or the reference string.
    pub fn check_files(&self) -> Result<(), Failure> {
        let Some(directory) = &self.directory else { return Ok(()) };
        let damaged = |name: &str, e: Source| Failure::file("use", &directory.join(name), e);
        self.key.check().map_err(|e| damaged(PROVING_KEY, e.into()))?;
        self.srs.check().map_err(|e| damaged(SRS, e.into()))
    }

    /// The verifying key, as a file.
    pub fn verifying_key_bytes(&self) -> Vec<u8> {
        self.key.verifying_key().to_file_bytes()
    }

    /// True if proofs rest on a reference string that was made locally.
    pub fn is_insecure(&self) -> bool {
        self.key.verifying_key().is_insecure()
    }

    /// The integer graph.
    pub fn graph(&self) -> &IntGraph {
        &self.graph
    }

    /// The integer weights.
    pub fn weights(&self) -> &WeightValues {
        &self.weights
    }

    /// Runs the integer model.
    pub fn infer(&self, record: &[f32]) -> Result<Trace, Failure> {
        let refused = |e: Source| Failure::refused("use the record", e);
        let integers = quantise_record(&self.graph, record).map_err(|e| refused(e.into()))?;
        run(&self.graph, &self.weights, &integers).map_err(|e| refused(e.into()))
    }

    /// Proves what the model answers on a record.
    pub fn prove(
        &self,
        engine: &Engine,
        record: &[f32],
        input: Option<InputCommitment>,
        randomness: Randomness,
        memory: &MemoryArgs,
        progress: &Progress,
    ) -> Result<Proven, Failure> {
        let trace = progress.phase("run the integer model", || self.infer(record))?;
        let witness = self.lowered.witness(&trace, &self.weights);
        let witness = witness.map_err(|e| Failure::refused("make the witness", e))?;
        let mut randomness = randomness;
        let (public, secrets) = self.public_side(engine, record, input, &trace, &mut randomness)?;
        drop(trace);
        let statement =
            public.statement(&ProcessorArithmetic::detect(), self.key.verifying_key(), &self.meaning)?;
        let (key, srs) = (&self.key, &self.srs);
        let (plan, mut used) = memory.choose(key, srs, &witness)?;
        let work = Work::of(key, srs, &witness, &plan).map_err(|e| prove_failure(e.into()))?;
        let faster = memory.multiples(srs, used.as_mut(), progress)?;
        let srs = faster.as_ref().unwrap_or(srs);
        let (proof, report) =
            prove_within(engine, key, srs, &statement, &secrets, &witness, randomness, progress, &plan)
                .map_err(|e| self.blame(e))?;
        for (round, wall_ns) in report.rounds {
            progress.record(&format!("prove: {round}"), wall_ns as f64 * 1e-9);
        }
        Ok(Proven { proof, public, memory: used, work })
    }

    /// Why there is no proof. Files that are used in place are not checked when they are opened, so if the proof came
    /// out wrong, a damaged file is the first suspect.
    fn blame(&self, error: ProveError) -> Failure {
        let suspicious = matches!(
            error,
            ProveError::Unsatisfied(_)
                | ProveError::NotInTable { .. }
                | ProveError::Key(_)
                | ProveError::Srs(_)
                | ProveError::SrsMismatch
        );
        match self.check_files() {
            Err(damaged) if suspicious => damaged,
            _ => prove_failure(error),
        }
    }

    /// Proves that the committed weights are small integers.
    pub fn prove_range(
        &self,
        engine: &Engine,
        randomness: Randomness,
        progress: &Progress,
    ) -> Result<RangeProof, Failure> {
        const ACTION: &str = "show that the weights are in range";
        if self.commitment.commitments.is_empty() {
            return Err(Failure::Input("the model has no weights: there is nothing to show".into()));
        }
        let columns = u32::try_from(self.commitment.commitments.len()).unwrap_or(u32::MAX);
        let range = WeightRange::new(self.lowered.circuit.k, MODEL_GROUP, columns);
        let limbs = range.witness(self.secret.values()).map_err(|e| Failure::refused(ACTION, e))?;
        let keys = progress.phase("make the keys", || keygen(engine, &self.srs, range.circuit, range.fixed));
        let (proving, key) = keys.map_err(key_failure)?;
        let statement = Statement { public_inputs: Vec::new(), committed: vec![self.commitment.clone()] };
        let secrets = [self.secret.clone()];
        let (proof, report) =
            prove(engine, &proving, &self.srs, &statement, &secrets, &limbs, randomness, progress)
                .map_err(prove_failure)?;
        for (round, wall_ns) in report.rounds {
            progress.record(&format!("prove: {round}"), wall_ns as f64 * 1e-9);
        }
        Ok(RangeProof { key, proof })
    }

    /// The verifying key.
    pub fn verifying_key(&self) -> &VerifyingKey {
        self.key.verifying_key()
    }

    /// The public values of a run, and the secrets behind its commitments.
    fn public_side(
        &self,
        engine: &Engine,
        record: &[f32],
        input: Option<InputCommitment>,
        trace: &Trace,
        randomness: &mut Randomness,
    ) -> Result<(PublicFile, Vec<CommittedSecret>), Failure> {
        let integers =
            quantise_record(&self.graph, record).map_err(|e| Failure::refused("use the record", e))?;
        let circuit = self.key.verifying_key().circuit();
        let has_weights = circuit.committed.iter().any(|group| group.name == MODEL_GROUP);
        let mut secrets = if has_weights { vec![self.secret.clone()] } else { Vec::new() };
        let mut commit = |given| match given {
            Some(commitment) => self.check_input(&integers, commitment),
            None => self.commit_input(engine, record, randomness),
        };
        let input = match self.meaning.input_visibility {
            InputVisibility::Private => PublicInput::Private {},
            InputVisibility::Public => {
                PublicInput::Public(PublicTensor::new(&self.meaning.input, widen(&integers)))
            }
            InputVisibility::Committed => {
                let InputCommitment { secret, public } = commit(input)?;
                secrets.push(secret);
                PublicInput::Committed(Commitment::new(&public))
            }
            InputVisibility::Several => {
                let commitment = if self.meaning.commits() { Some(commit(input)?) } else { None };
                let commitment = commitment.map(|InputCommitment { secret, public }| {
                    secrets.push(secret);
                    Commitment::new(&public)
                });
                PublicInput::Several { public: self.public_parts(&integers), commitment }
            }
        };
        let model = Commitment::new(&self.commitment);
        let key = self.key.verifying_key();
        Ok((PublicFile::new(key, &self.meaning, model, input, widen(&trace.output)), secrets))
    }

    /// Of several inputs, those that are public.
    fn public_parts(&self, integers: &[i32]) -> Vec<NamedTensor> {
        let (mut rest, mut public) = (integers, Vec::new());
        for input in &self.meaning.inputs {
            let len = input.port.elements().unwrap_or(0).min(rest.len());
            let (values, after) = rest.split_at(len);
            if input.visibility == InputVisibility::Public {
                let tensor = PublicTensor::new(&input.port, widen(values));
                public.push(NamedTensor { name: input.name.clone(), tensor });
            }
            rest = after;
        }
        public
    }

    /// Commits to what of a record is committed, so that several proofs can name it.
    pub fn commit_input(
        &self,
        engine: &Engine,
        record: &[f32],
        randomness: &mut Randomness,
    ) -> Result<InputCommitment, Failure> {
        let integers =
            quantise_record(&self.graph, record).map_err(|e| Failure::refused("use the record", e))?;
        let columns = self.input_columns(&integers)?;
        let k = self.lowered.circuit.k;
        let (secret, public) = commit_group(engine, &self.srs, k, INPUT_GROUP, columns, true, randomness)
            .map_err(prove_failure)?;
        Ok(InputCommitment { secret, public })
    }

    fn input_columns(&self, integers: &[i32]) -> Result<Vec<ColumnValues>, Failure> {
        self.lowered.input_columns(integers).map_err(|e| Failure::refused("lay out the record", e))
    }

    /// The commitment, if it is to this record.
    fn check_input(&self, integers: &[i32], commitment: InputCommitment) -> Result<InputCommitment, Failure> {
        let expected = self.input_columns(integers)?;
        let got = commitment.secret.values();
        if got.len() != expected.len() || !got.iter().zip(&expected).all(|(a, b)| same_values(a, b)) {
            let reason = "it is to another record, or was made for another model; make a new one";
            return Err(Failure::refused("use the record's commitment", reason));
        }
        Ok(commitment)
    }

    /// How large the circuit is.
    pub fn shape(&self) -> Shape {
        let report = &self.lowered.report;
        Shape {
            rows_log2: report.k,
            lanes: report.lanes,
            advice_columns: self.lowered.circuit.advice.len(),
            weight_columns: self.commitment.commitments.len(),
            multiply_accumulates: report.multiply_accumulates,
            layer_data: report.data,
            activations: self.graph.tensors.iter().map(|tensor| tensor.shape.iter().product::<usize>()).sum(),
            cells: report.small_cells + report.full_cells,
        }
    }

    /// Where the cells of the circuit go.
    pub fn layout(&self) -> &PlanReport {
        &self.lowered.report
    }

    fn commitment_text(&self) -> String {
        commitment_text(&self.commitment)
    }
}

impl Drop for Compiled {
    fn drop(&mut self) {
        self.weights.0.zeroize();
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rows_log2, lanes, advice_columns, weight_columns, .. } = self;
        write!(
            f,
            "2^{rows_log2} rows, {lanes} lanes, {advice_columns} advice and {weight_columns} weight columns"
        )
    }
}

impl Shape {
    /// How many cells the model takes, in words.
    pub fn density(&self) -> String {
        let per = |count: f64| self.cells as f64 / count.max(1.0);
        format!(
            "{} with the weights: {:.2} per multiply–accumulate, {:.1} per activation",
            self.cells,
            per(self.multiply_accumulates as f64),
            per(self.activations as f64)
        )
    }
}

impl Accuracy {
    /// What was measured on labelled records.
    pub fn new(measured: &kiln_circuits::Accuracy) -> Self {
        Self {
            records: measured.comparison.records,
            float_correct: measured.float_right,
            integer_correct: measured.integer_right,
        }
    }
}

impl fmt::Display for Accuracy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { records, float_correct, integer_correct } = self;
        let percent = |correct: &usize| 100.0 * *correct as f64 / (*records).max(1) as f64;
        write!(f, "float {:.2} % ({float_correct} of {records}), ", percent(float_correct))?;
        write!(
            f,
            "integer {:.2} % ({integer_correct} of {records}), held-out records",
            percent(integer_correct)
        )
    }
}

fn meaning_of(graph: &IntGraph, options: &Options) -> Result<Meaning, Failure> {
    let scale = |tensor: usize| graph.tensors.get(tensor).map(|tensor| tensor.scale);
    let shape = graph.tensors.get(graph.input.0).map(|tensor| tensor.shape.clone());
    let (Some(input_scale), Some(shape), Some(output_scale)) =
        (scale(graph.input.0), shape, scale(graph.output.tensor.0))
    else {
        return Err(Failure::Input("the model has no input or no output".into()));
    };
    let (input_visibility, inputs) = options.input.of(graph)?;
    Ok(Meaning {
        schema: meaning::SCHEMA.into(),
        model: options.name.clone(),
        weights: options.weights,
        input_visibility,
        input: Port::new(shape, input_scale),
        inputs,
        output: Port::new(graph.output.shape.clone(), output_scale),
    })
}

/// The circuit of a graph, with its meaning.
fn lower_with(
    graph: &IntGraph,
    meaning: &Meaning,
    options: &PlanOptions,
    rates: &Rates,
) -> Result<Lowered, Failure> {
    let input = inputs::of_graph(meaning.input_visibility, &meaning.inputs)?;
    let visibility = Visibility { input, weights: meaning.weights.into() };
    let mut lowered = lower_at(graph, visibility, options, rates)
        .map_err(|e| Failure::refused("lay out the model as a circuit", e))?;
    lowered.circuit.meaning = meaning.to_text();
    Ok(lowered)
}

/// Compares the two models layer by layer.
fn compare(
    float: &FloatModel,
    (graph, weights, report): (&IntGraph, &WeightValues, &QuantiseReport),
    compare: &Compare,
    calibration: &[Vec<f32>],
    layout: &PlanReport,
) -> Result<Compared, Failure> {
    let judged = &calibration[..calibration.len().min(report.agreement.0)];
    let (on, records, labels) = match compare {
        Compare::HeldOut(set) => (MeasuredOn::HeldOut, set.records.as_slice(), Some(set.labels.as_slice())),
        Compare::Calibration | Compare::Nothing => (MeasuredOn::Calibration, judged, None),
    };
    let (measured, layers) = measure_layers(float, graph, weights, &report.nodes, records, labels)
        .map_err(|e| Failure::refused("measure the accuracy", e))?;
    let fidelity = Fidelity::new(on, &measured, &layers, Some(layout));
    Ok(Compared { accuracy: labels.map(|_| Accuracy::new(&measured)), fidelity })
}

/// Makes the model commitment.
fn commit_to(
    engine: &Engine,
    srs: &Srs,
    lowered: &Lowered,
    weights: &WeightValues,
    visibility: WeightVisibility,
    mut randomness: Randomness,
) -> Result<(CommittedSecret, CommittedPublic), Failure> {
    let columns = lowered.model_columns(weights).map_err(|e| Failure::refused("lay out the weights", e))?;
    let hiding = visibility == WeightVisibility::Hidden;
    commit_group(engine, srs, lowered.circuit.k, MODEL_GROUP, columns, hiding, &mut randomness)
        .map_err(prove_failure)
}

fn commitment_text(group: &CommittedPublic) -> String {
    let file = CommitmentFile {
        schema: COMMITMENT_SCHEMA.into(),
        name: group.name.clone(),
        commitment: Commitment::new(group),
    };
    // Plain data: it always has a JSON form.
    serde_json::to_string_pretty(&file).map(|text| text + "\n").unwrap_or_default()
}

/// Into a buffer as large as it will be: one that grows would leave copies of the weights behind.
fn graph_bytes(file: &GraphFileView<'_>) -> postcard::Result<Zeroizing<Vec<u8>>> {
    let length = postcard::serialize_with_flavor(file, postcard::ser_flavors::Size::default())?;
    let mut bytes = Zeroizing::new(vec![0; length]);
    postcard::to_slice(file, &mut bytes)?;
    Ok(bytes)
}

/// Reads a published commitment.
///
/// # Errors
/// What is wrong with it, in words.
pub fn parse_commitment(bytes: &[u8]) -> Result<CommittedPublic, Source> {
    let file: CommitmentFile = serde_json::from_slice(bytes)?;
    let group = file.commitment.group(&ProcessorArithmetic::detect(), &file.name)?;
    if commitment_text(&group).as_bytes() != bytes {
        return Err("it is not what kiln wrote; get an intact copy".into());
    }
    Ok(group)
}

/// Opens the proving key of a compiled model in place.
fn open_proving_key(directory: &Path) -> Result<ProvingKey, Failure> {
    const ACTION: &str = "open the proving key";
    let path = directory.join(PROVING_KEY);
    artefact::open(ACTION, &path)?;
    ProvingKey::open(&path).map_err(|e| Failure::file(ACTION, &path, e))
}

/// Reads a file of a compiled model and parses it.
fn read_part<T>(
    directory: &Path,
    name: &str,
    action: &'static str,
    parse: impl FnOnce(&[u8]) -> Result<T, Source>,
) -> Result<T, Failure> {
    let path = directory.join(name);
    let limit = if name == COMMITMENT { SMALL_FILE_BYTES_MAX } else { LARGE_FILE_BYTES_MAX };
    let bytes = Zeroizing::new(artefact::read(action, &path, limit)?);
    parse(&bytes).map_err(|e| Failure::file(action, &path, e))
}

fn bytes_of<E: Into<Source>>(
    action: &'static str,
    write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    write(&mut bytes).map_err(|e| Failure::refused(action, e))?;
    Ok(bytes)
}

/// Lanes are small integers, before and after they were in a file.
fn same_values(a: &ColumnValues, b: &ColumnValues) -> bool {
    match (a, b) {
        (ColumnValues::Small(a), ColumnValues::Small(b)) => a == b,
        (ColumnValues::Full(a), ColumnValues::Full(b)) => a == b,
        _ => false,
    }
}

fn widen(integers: &[i32]) -> Vec<i64> {
    integers.iter().map(|integer| i64::from(*integer)).collect()
}

fn key_failure(error: KeyError) -> Failure {
    match error {
        KeyError::Kernel(source) => kernel_failure("make the keys", source),
        other => Failure::refused("make the keys", other),
    }
}

fn prove_failure(error: ProveError) -> Failure {
    match error {
        ProveError::Kernel(source) => kernel_failure("prove", source),
        error @ (ProveError::Unsatisfied(_) | ProveError::Randomness(_)) => Failure::device("prove", error),
        other => Failure::refused("prove", other),
    }
}

fn kernel_failure(action: &'static str, source: KernelFailure) -> Failure {
    Failure::device(action, source)
}

impl From<WeightVisibility> for kiln_circuits::lower::WeightVisibility {
    fn from(visibility: WeightVisibility) -> Self {
        match visibility {
            WeightVisibility::Public => Self::Public,
            WeightVisibility::Hidden => Self::Hidden,
        }
    }
}

#[cfg(test)]
mod tests {
    use kiln_plonk::{MalformedProof, VerifyError};

    use super::*;

    #[test]
    fn whoever_is_to_blame_decides_the_exit_code() {
        let device = || KernelFailure::DeviceFailed {
            device: "sim:u55c".into(),
            kernel: "msm",
            source: "it stopped answering".into(),
        };
        let unsatisfied = VerifyError::Malformed(MalformedProof::Length { expected: 1, got: 0 });
        for failure in [
            prove_failure(ProveError::Kernel(device())),
            prove_failure(ProveError::Unsatisfied(unsatisfied)),
            key_failure(KeyError::Kernel(device())),
        ] {
            assert_eq!(failure.exit_code(), 3, "{}", failure.one_line());
        }
        let line = prove_failure(ProveError::Kernel(device())).one_line();
        assert!(line.contains("sim:u55c") && line.contains("it stopped answering"), "{line}");
        assert_eq!(prove_failure(ProveError::SrsTooSmall { expected: 9, got: 4 }).exit_code(), 2);
        assert_eq!(key_failure(KeyError::SrsTooSmall { expected: 9, got: 4 }).exit_code(), 2);
    }
}
