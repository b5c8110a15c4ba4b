//! Files as a sink: they appear whole, and each row is in exactly one.
//!
//! ```text
//! write(e)       rows go to hidden files  path/.part-….inprogress
//! checkpoint(e)  they are finished and synced; the acknowledgement lists them
//! commit         each is renamed to  path/dt=…/part-…  and the directories are synced
//! recover        renames that a crash cut off are finished; hidden files that no snapshot lists are removed
//! ```
//!
//! A name holds the pipeline's mark and the epoch, so it is never used twice.

mod commit;
mod lane;
mod part;
mod partition;

use std::path::PathBuf;
use std::sync::Arc;

use fleuve_base::{Env, Error, Result};
use fleuve_flow::connectors::Reader;
use fleuve_flow::sink::{Guarantee, Lane, Lanes, Sink};
use fleuve_plan::SinkSpec;
use parking_lot::Mutex;

use crate::encode::project;
use crate::filesystem::local_path;
use crate::internal;
use crate::options::Options;
use commit::{Committer, PartitionCommit};
use lane::FileLane;
use part::Encoding;
use partition::Partitioning;

/// A `filesystem` table that is being written.
pub(crate) struct FileSink {
    shape: Arc<Shape>,
    committer: Arc<Mutex<Committer>>,
}

/// What the sink and its lanes share.
struct Shape {
    env: Env,
    directory: PathBuf,
    /// What the hidden files of this sink begin with.
    hidden: String,
    /// What marks this sink's files.
    mark: u64,
    partitioning: Partitioning,
    encoding: Encoding,
    file_bytes: u64,
}

impl FileSink {
    /// Whether files can hold such a table; opens nothing.
    pub(crate) fn check(options: &Options, spec: &SinkSpec) -> Result<()> {
        let debezium = options.format() == Some("debezium-json");
        if spec.changelog && !debezium {
            let format = options.format().unwrap_or("json");
            let message = format!("table `{}` cannot hold rows that are updated or deleted", spec.table);
            return Err(Error::input("E508", message)
                .with_detail(format!("files of `{format}` can only be added to"))
                .with_hint(
                    "use 'format' = 'debezium-json', which writes changes, or write to a topic with a PRIMARY KEY",
                ));
        }
        local_path(&spec.table, options.required("path")?)?;
        let partitioning = Partitioning::new(options, spec)?;
        PartitionCommit::new(options, &partitioning)?;
        Encoding::new(options, &*project(&spec.schema, partitioning.data())?)?;
        Ok(())
    }

    pub(crate) fn open(env: &Env, reader: &Reader<'_>, options: &Options, spec: &SinkSpec) -> Result<Self> {
        Self::check(options, spec)?;
        let partitioning = Partitioning::new(options, spec)?;
        let policy = PartitionCommit::new(options, &partitioning)?;
        let directory = local_path(&spec.table, options.required("path")?)?;
        let shape = Arc::new(Shape {
            env: env.clone(),
            hidden: format!(".part-{}.{}-", internal::escaped(reader.pipeline), reader.node),
            mark: internal::mark(reader),
            encoding: Encoding::new(options, &*project(&spec.schema, partitioning.data())?)?,
            file_bytes: options.bytes("sink.rolling-policy.file-size")?.unwrap_or(u64::MAX).max(1),
            partitioning,
            directory,
        });
        env.fs.create_dir_all(&shape.directory).map_err(|error| {
            Error::io(format_args!("create the directory `{}`", shape.directory.display()), &error)
                .with_hint("the 'path' of a sink is a directory")
        })?;
        let committer = Arc::new(Mutex::new(Committer::new(shape.clone(), policy)));
        Ok(FileSink { shape, committer })
    }
}

impl Sink for FileSink {
    fn lanes(&self) -> Lanes {
        Lanes::PerWorker
    }

    fn guarantee(&self) -> Guarantee {
        Guarantee::ExactlyOnce
    }

    fn recover(&self, committed: &[String]) -> Result<()> {
        let mut committer = self.committer.lock();
        committer.commit(committed)?;
        committer.remove_leftovers()
    }

    fn open(&self, lane: usize) -> Result<Box<dyn Lane>> {
        Ok(Box::new(FileLane::new(self.shape.clone(), self.committer.clone(), lane)))
    }

    fn commit(&self, committed: &[String]) -> Result<()> {
        self.committer.lock().commit(committed)
    }
}

/// Threads that sync files at a time: a file system commits them together.
const SYNC_THREADS: usize = 8;

/// Calls `work` for each item, on several threads if there are many.
fn in_parallel<T: Sync>(items: &[T], work: impl Fn(&T) -> Result<()> + Sync) -> Result<()> {
    if items.len() < 2 * SYNC_THREADS {
        return items.iter().try_for_each(work);
    }
    let work = &work;
    std::thread::scope(|scope| {
        let share = items.len().div_ceil(SYNC_THREADS);
        let run = |items| scope.spawn(move || <[T]>::iter(items).try_for_each(work));
        let threads: Vec<_> = items.chunks(share).map(run).collect();
        threads.into_iter().try_for_each(|thread| match thread.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        })
    })
}

#[cfg(test)]
mod tests;
