//! `demo`: a week of real earthquakes, replayed through two durable pipelines, and a live view of their answers.
//!
//! Everything that it does stands in `examples/demo/earthquakes.sql`; this file starts the script's pipelines and shows the
//! topics that they write.

mod feed;
mod view;

use std::path::Path;
use std::time::{Duration, Instant};

use fleuve_base::{Error, Result};
use fleuve_flow::runtime::{Handle, StartOptions};
use fleuve_sql::session::{Outcome as Executed, Session};

use crate::args::DemoArguments;
use crate::launch::start_all;
use crate::output::say;
use crate::report::Failure;
use crate::signals;
use crate::workspace::Workspace;
use feed::Feed;
use view::View;

/// The script, as it stands in the repository.
const SCRIPT: &str = include_str!("../../../../../examples/demo/earthquakes.sql");

/// The recorded week.
const EARTHQUAKES: &[u8] = include_bytes!("../../../../../examples/data/earthquakes.jsonl.gz");

/// Codes and names of seismic networks.
const NETWORKS: &[u8] = include_bytes!("../../../../../examples/data/networks.csv");

/// Where the demo keeps everything, if no directory is named.
const DIRECTORY: &str = "fleuve-data/demo";

/// The pipeline that feeds the topic; the other one, which reads it, never ends.
const INGEST: &str = "ingest";

/// How often the view is drawn.
const REDRAW: Duration = Duration::from_millis(100);

/// How long the answers may take to catch up when the week is over.
const CATCH_UP: Duration = Duration::from_secs(5);

/// `fleuve demo`
pub fn run(arguments: &DemoArguments) -> Result<(), Failure> {
    let directory = arguments.data.data.clone().unwrap_or_else(|| DIRECTORY.into());
    if arguments.fresh && directory.is_dir() {
        std::fs::remove_dir_all(&directory).map_err(|e| Error::io(format!("remove {}", directory.display()), &e))?;
    }
    let files = directory.join("files");
    unpack(&files)?;
    let mut workspace = Workspace::open(Some(&directory))?;
    let text = script(&files, arguments.speed)?;
    let located = |error| Failure::in_script(error, "earthquakes.sql", &text);
    let handles = launch(&mut workspace, &text, arguments.workers).map_err(located)?;
    let shown = show(&workspace, &handles, arguments);
    let over = ingested(&handles);
    let ended = finish(handles, over);
    let closed = workspace.close();
    Ok(shown.and(ended).and(closed)?)
}

/// Writes the demo's files where the script finds them.
fn unpack(directory: &Path) -> Result<()> {
    let io = |e: std::io::Error| Error::io(format!("write the demo's data to {}", directory.display()), &e);
    std::fs::create_dir_all(directory).map_err(io)?;
    for (name, bytes) in [("earthquakes.jsonl.gz", EARTHQUAKES), ("networks.csv", NETWORKS)] {
        let path = directory.join(name);
        if !path.exists() {
            std::fs::write(path, bytes).map_err(io)?;
        }
    }
    Ok(())
}

fn script(files: &Path, speed: f64) -> Result<String> {
    let absolute = std::fs::canonicalize(files).map_err(|e| Error::io(format!("find {}", files.display()), &e))?;
    let quoted = absolute.display().to_string().replace('\'', "''");
    Ok(SCRIPT.replace("${data}", &quoted).replace("${speed}", &speed.to_string()))
}

fn launch(workspace: &mut Workspace, text: &str, workers: usize) -> Result<Vec<Handle>> {
    let mut session = Session::new();
    session.set("parallelism.default", &workers.to_string())?;
    session.set("execution.checkpointing.interval", "2 s")?;
    let log = workspace.require_log()?.clone();
    let durable = Some((log, workspace.directory().to_owned()));
    let options = StartOptions { env: workspace.env.clone(), durable, connectors: workspace.connectors() };
    let mut pipelines = vec![];
    for statement in session.parse(text)? {
        if let Executed::Pipeline(pipeline) = session.execute(&statement)? {
            pipelines.push(pipeline);
        }
    }
    start_all(pipelines, &options).map_err(|error| match error.code() {
        // What the general hint says of scripts does not help here.
        "E401" => Error::new(error.kind(), "E401", "the demo was begun with another speed, or by another version")
            .with_hint("give the --speed of last time, or begin again with --fresh"),
        _ => error,
    })
}

/// Shows the answers until the week is over, or someone has had enough.
fn show(workspace: &Workspace, handles: &[Handle], arguments: &DemoArguments) -> Result<()> {
    let log = workspace.log().ok_or_else(|| Error::internal("the demo has a log"))?;
    let mut feed = Feed::open(log)?;
    let mut view = View::new(arguments.speed);
    let started = Instant::now();
    let mut over: Option<Instant> = None;
    loop {
        let fresh = feed.poll()?;
        view.take(fresh, handles, &feed)?;
        let enough = arguments.seconds.is_some_and(|seconds| started.elapsed().as_secs_f64() >= seconds);
        let failed = handles.iter().any(Handle::failed);
        if signals::stop_requested() || enough || failed {
            break;
        }
        if ingested(handles) {
            let since = over.get_or_insert_with(Instant::now).elapsed();
            if feed.caught_up(handles) || since > CATCH_UP {
                break;
            }
        }
        std::thread::sleep(REDRAW);
    }
    view.finish()
}

/// Whether the whole week is in the log: its pipeline has ended, now or in an earlier run.
fn ingested(handles: &[Handle]) -> bool {
    handles.iter().filter(|handle| handle.pipeline().name == INGEST).all(Handle::ended)
}

/// Stops what still runs and waits for it.
fn finish(handles: Vec<Handle>, over: bool) -> Result<()> {
    let mut result = Ok(());
    for handle in &handles {
        (handle.stopper())();
    }
    for handle in handles {
        result = result.and(handle.wait().map(|_| ()));
    }
    result.and_then(|()| match over {
        true => say("The week is over. `fleuve demo --fresh` begins it again.\n"),
        false => say("Stopped. `fleuve demo` goes on where it stopped; `--fresh` begins again.\n"),
    })
}
