//! What a pipeline keeps in the data directory beside the log: its plan and its snapshots.
//!
//! `pipelines/NAME/plan.json`, `pipelines/NAME/snapshots/EPOCH/{NODE-WORKER.state, manifest.json}`. A snapshot exists when its
//! manifest does; the manifest is written last, atomically. See `docs/internals/snapshots.md`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;
use fleuve_base::{Env, Error, Result, fs};
use fleuve_plan::{NodeId, Pipeline};
use serde::{Deserialize, Serialize};

use crate::operator::StateTable;
use crate::source::Range;

/// Version of the snapshot layout.
const VERSION: u32 = 1;

/// First bytes of a state file.
const MAGIC: &[u8; 8] = b"FLVSTATE";

/// Tables in one state file.
const TABLES_MAX: u32 = 1 << 16;

/// A snapshot's manifest.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of the layout.
    pub version: u32,
    /// The epoch after which the state was taken.
    pub epoch: u64,
    /// Which start of the pipeline took it.
    pub incarnation: u64,
    /// The offset of the epoch's record in the epoch journal.
    pub journal_offset: u64,
    /// Every source had ended: the pipeline is finished.
    pub last: bool,
    /// Fingerprint of the plan that the state belongs to.
    pub fingerprint: u64,
    /// Node watermarks at the end of the epoch.
    pub watermarks: Vec<i64>,
    /// The last range of every split: (node, range).
    pub positions: Vec<(NodeId, Range)>,
    /// State files: (node, file name, CRC32C).
    pub files: Vec<(NodeId, String, u32)>,
    /// What the sinks acknowledged, by node.
    pub acknowledgements: BTreeMap<NodeId, Vec<String>>,
}

/// A pipeline as it was first started.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StoredPlan {
    /// Drawn at random when the pipeline was created: a later pipeline of the same name is another one, and shares
    /// neither epochs nor marks in sinks with it.
    pub instance: u64,
    /// The last epoch of the run before, which was ended; 0 in the first run. A run has finished when there is a last
    /// snapshot after it.
    #[serde(default)]
    pub begun_after: u64,
    /// The plan.
    pub pipeline: Pipeline,
}

impl StoredPlan {
    /// Whether this is the last snapshot of a run that has not been noted as ended.
    pub fn has_finished(&self, manifest: &Manifest) -> bool {
        manifest.last && manifest.epoch > self.begun_after
    }

    /// What distinguishes the pipeline from all others of the data directory, former ones included.
    pub fn identity(&self) -> String {
        format!("{}.{:016x}", self.pipeline.name, self.instance)
    }
}

/// The directory of one pipeline.
#[derive(Clone)]
pub struct PipelineStore {
    env: Env,
    directory: PathBuf,
}

impl PipelineStore {
    /// The store of a pipeline, created if there is none.
    pub fn open(env: Env, data: &Path, pipeline: &str) -> Result<Self> {
        let directory = data.join("pipelines").join(file_name(pipeline));
        env.fs.create_dir_all(&directory.join("snapshots")).map_err(|e| io("create", &directory, &e))?;
        Ok(PipelineStore { env, directory })
    }

    /// What was stored when the pipeline was first started; `None` before that.
    pub fn plan(&self) -> Result<Option<StoredPlan>> {
        let path = self.directory.join("plan.json");
        if !self.env.fs.exists(&path) {
            return Ok(None);
        }
        let bytes = fs::read(&*self.env.fs, &path).map_err(|e| io("read", &path, &e))?;
        let stored: StoredPlan = serde_json::from_slice(&bytes)
            .map_err(|e| Error::corrupt(format!("the stored plan {} cannot be read: {e}", path.display())))?;
        stored.pipeline.check()?;
        Ok(Some(stored))
    }

    /// Stores the plan; from now on a restart runs it.
    pub fn write_plan(&self, stored: &StoredPlan) -> Result<()> {
        let path = self.directory.join("plan.json");
        let text = serde_json::to_vec_pretty(stored).map_err(|e| Error::internal(e.to_string()))?;
        fs::write_atomically(&*self.env.fs, &path, &text).map_err(|e| io("write", &path, &e))
    }

    /// Forgets everything about the pipeline.
    pub fn forget(&self) -> Result<()> {
        self.env.fs.remove_dir_all(&self.directory).map_err(|e| io("remove", &self.directory, &e))
    }

    fn snapshot_directory(&self, epoch: u64) -> PathBuf {
        self.directory.join("snapshots").join(format!("{epoch:020}"))
    }

    /// The epochs of all valid snapshots, oldest first.
    pub fn snapshots(&self) -> Result<Vec<u64>> {
        let directory = self.directory.join("snapshots");
        let names = self.env.fs.list(&directory).map_err(|e| io("list", &directory, &e))?;
        let epochs = names.iter().filter_map(|name| name.parse().ok());
        Ok(epochs.filter(|epoch| self.env.fs.exists(&self.snapshot_directory(*epoch).join("manifest.json"))).collect())
    }

    /// The manifest of the latest snapshot.
    pub fn latest(&self) -> Result<Option<Manifest>> {
        self.snapshots()?.last().map(|epoch| self.manifest(*epoch)).transpose()
    }

    /// The manifest of a snapshot.
    pub fn manifest(&self, epoch: u64) -> Result<Manifest> {
        let path = self.snapshot_directory(epoch).join("manifest.json");
        let bytes = fs::read(&*self.env.fs, &path).map_err(|e| io("read", &path, &e))?;
        let manifest: Manifest = serde_json::from_slice(&bytes)
            .map_err(|e| Error::corrupt(format!("{} cannot be read: {e}", path.display())))?;
        if manifest.version != VERSION {
            let message = format!("{} has version {}; this build reads {VERSION}", path.display(), manifest.version);
            return Err(Error::corrupt(message));
        }
        Ok(manifest)
    }

    /// Writes one node's state of one worker, and returns the file's name and checksum.
    pub fn write_state(&self, epoch: u64, node: NodeId, worker: usize, tables: &[StateTable]) -> Result<(String, u32)> {
        let directory = self.snapshot_directory(epoch);
        self.env.fs.create_dir_all(&directory).map_err(|e| io("create", &directory, &e))?;
        let name = format!("{node}-{worker}.state");
        let bytes = encode_tables(tables)?;
        let checksum = crc32c::crc32c(&bytes);
        let path = directory.join(&name);
        let file = self.env.fs.open(&path, true).map_err(|e| io("create", &path, &e))?;
        let written = file.set_len(0).and_then(|()| file.write_at(&bytes, 0)).and_then(|()| file.sync());
        written.map_err(|e| io("write", &path, &e))?;
        Ok((name, checksum))
    }

    /// Makes a snapshot valid.
    pub fn write_manifest(&self, manifest: &Manifest) -> Result<()> {
        let directory = self.snapshot_directory(manifest.epoch);
        self.env.fs.create_dir_all(&directory).map_err(|e| io("create", &directory, &e))?;
        let path = directory.join("manifest.json");
        let text = serde_json::to_vec_pretty(manifest).map_err(|e| Error::internal(e.to_string()))?;
        let written = fs::write_atomically(&*self.env.fs, &path, &text);
        let parent = self.directory.join("snapshots");
        written.and_then(|()| self.env.fs.sync_dir(&parent)).map_err(|e| io("write", &path, &e))
    }

    /// Reads all state files of a node, one list of tables for each worker that wrote.
    pub fn read_state(&self, manifest: &Manifest, node: NodeId) -> Result<Vec<Vec<StateTable>>> {
        let files = manifest.files.iter().filter(|(n, _, _)| *n == node);
        files.map(|(_, name, checksum)| self.read_state_file(manifest.epoch, name, *checksum)).collect()
    }

    fn read_state_file(&self, epoch: u64, name: &str, checksum: u32) -> Result<Vec<StateTable>> {
        let path = self.snapshot_directory(epoch).join(name);
        let bytes = fs::read(&*self.env.fs, &path).map_err(|e| io("read", &path, &e))?;
        if crc32c::crc32c(&bytes) != checksum {
            return Err(Error::corrupt(format!("the state file {} does not match its checksum", path.display())));
        }
        decode_tables(&bytes)
    }

    /// Removes all but the newest `keep` snapshots, and what never became one. Returns the oldest manifest kept.
    pub fn prune(&self, keep: usize) -> Result<Option<Manifest>> {
        let valid = self.snapshots()?;
        let first_kept = valid[valid.len().saturating_sub(keep.max(1))..].first().copied();
        let directory = self.directory.join("snapshots");
        let names = self.env.fs.list(&directory).map_err(|e| io("list", &directory, &e))?;
        let newest = valid.last().copied().unwrap_or(0);
        for epoch in names.iter().filter_map(|name| name.parse::<u64>().ok()) {
            let unfinished = epoch < newest && !valid.contains(&epoch);
            if unfinished || first_kept.is_some_and(|first| epoch < first) {
                let old = self.snapshot_directory(epoch);
                self.env.fs.remove_dir_all(&old).map_err(|e| io("remove", &old, &e))?;
            }
        }
        first_kept.map(|epoch| self.manifest(epoch)).transpose()
    }
}

impl Manifest {
    /// A manifest of this build's version, without files and acknowledgements yet.
    pub fn new(epoch: u64, incarnation: u64, fingerprint: u64) -> Self {
        Manifest {
            version: VERSION,
            epoch,
            incarnation,
            journal_offset: 0,
            last: false,
            fingerprint,
            watermarks: vec![],
            positions: vec![],
            files: vec![],
            acknowledgements: BTreeMap::new(),
        }
    }
}

/// A pipeline's name as a directory's: letters, digits, `-`, `_` and `.` stay, everything else becomes `%XX`.
pub fn file_name(pipeline: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    let keep = |(at, byte): (usize, u8)| match byte {
        byte if plain(byte) || (byte == b'.' && at > 0) => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    pipeline.bytes().enumerate().map(keep).collect()
}

/// The reverse of [`file_name`]; what is no such name stays as it is.
pub fn pipeline_name(file_name: &str) -> String {
    let mut bytes = vec![];
    let mut rest = file_name;
    while let Some(at) = rest.find('%') {
        bytes.extend_from_slice(&rest.as_bytes()[..at]);
        match rest.get(at + 1..at + 3).and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &rest[at + 3..];
            }
            None => {
                bytes.push(b'%');
                rest = &rest[at + 1..];
            }
        }
    }
    bytes.extend_from_slice(rest.as_bytes());
    String::from_utf8(bytes).unwrap_or_else(|_| file_name.to_owned())
}

fn io(verb: &str, path: &Path, error: &std::io::Error) -> Error {
    Error::io(format!("{verb} {}", path.display()), error)
}

/// `MAGIC`, u32 count; for each table u32 length and name, u64 length and an Arrow IPC stream of one batch.
fn encode_tables(tables: &[StateTable]) -> Result<Vec<u8>> {
    let mut out = MAGIC.to_vec();
    out.extend_from_slice(&u32::try_from(tables.len()).unwrap_or(u32::MAX).to_le_bytes());
    for table in tables {
        out.extend_from_slice(&u32::try_from(table.name.len()).unwrap_or(u32::MAX).to_le_bytes());
        out.extend_from_slice(table.name.as_bytes());
        let length_at = out.len();
        out.extend_from_slice(&[0; 8]);
        let mut writer = StreamWriter::try_new(&mut out, &table.rows.schema()).map_err(arrow)?;
        writer.write(&table.rows).and_then(|()| writer.finish()).map_err(arrow)?;
        drop(writer);
        let length = (out.len() - length_at - 8) as u64;
        out[length_at..length_at + 8].copy_from_slice(&length.to_le_bytes());
    }
    Ok(out)
}

fn decode_tables(bytes: &[u8]) -> Result<Vec<StateTable>> {
    let mut rest = bytes.strip_prefix(MAGIC).ok_or_else(|| Error::corrupt("a state file has no magic"))?;
    let count = u32::from_le_bytes(take(&mut rest)?);
    if count > TABLES_MAX {
        return Err(Error::corrupt(format!("a state file claims {count} tables")));
    }
    (0..count).map(|_| decode_table(&mut rest)).collect()
}

fn decode_table(rest: &mut &[u8]) -> Result<StateTable> {
    let name_bytes = u32::from_le_bytes(take(rest)?) as usize;
    let name = String::from_utf8_lossy(slice(rest, name_bytes)?).into_owned();
    let length = u64::from_le_bytes(take(rest)?);
    let stream = slice(rest, usize::try_from(length).unwrap_or(usize::MAX))?;
    let mut reader = StreamReader::try_new(stream, None).map_err(arrow)?;
    let rows = reader.next().ok_or_else(|| Error::corrupt(format!("table {name} of a state file is empty")))?;
    Ok(StateTable { name, rows: rows.map_err(arrow)? })
}

fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N]> {
    let (head, tail) = rest.split_first_chunk::<N>().ok_or_else(|| Error::corrupt("a state file is cut"))?;
    *rest = tail;
    Ok(*head)
}

fn slice<'a>(rest: &mut &'a [u8], length: usize) -> Result<&'a [u8]> {
    let (head, tail) = rest.split_at_checked(length).ok_or_else(|| Error::corrupt("a state file is cut"))?;
    *rest = tail;
    Ok(head)
}

fn arrow(error: arrow::error::ArrowError) -> Error {
    Error::corrupt(format!("a snapshot's table cannot be coded: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{ArrayRef, Int64Array, RecordBatch};
    use std::sync::Arc;

    #[test]
    fn any_name_makes_a_directory_and_comes_back() {
        for name in ["job", "../up", "a b/c", ".hidden", "100%", "größe", "x.y"] {
            let file = file_name(name);
            assert!(!file.contains('/') && !file.starts_with('.'), "{file}");
            assert_eq!(pipeline_name(&file), name);
        }
    }

    #[test]
    fn tables_survive_the_round_trip_and_no_cut_is_accepted() {
        let column: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 3]));
        let rows = RecordBatch::try_from_iter([("a", column)]).expect("valid");
        let bytes = encode_tables(&[StateTable { name: "t".to_owned(), rows: rows.clone() }]).expect("encodes");
        let tables = decode_tables(&bytes).expect("decodes");
        assert_eq!((tables[0].name.as_str(), &tables[0].rows), ("t", &rows));
        for length in 0..bytes.len() - 8 {
            assert!(decode_tables(&bytes[..length]).is_err(), "cut at {length}");
        }
    }
}
