//! Starting the pipelines of a script together.

use fleuve_base::Result;
use fleuve_flow::runtime::{Handle, StartOptions, begin, start};
use fleuve_plan::Pipeline;

/// Starts the pipelines of one script, or goes on with those of them that have not finished.
///
/// # Errors
/// If a pipeline cannot start; those before it are stopped.
pub fn start_all(pipelines: Vec<Pipeline>, options: &StartOptions) -> Result<Vec<Handle>> {
    let mut handles: Vec<Handle> = vec![];
    for pipeline in begin(pipelines, options)? {
        match start(pipeline, options) {
            Ok(handle) => handles.push(handle),
            Err(error) => {
                handles.iter().for_each(|handle| (handle.stopper())());
                // The error that is reported is the one that came first.
                handles.into_iter().for_each(|handle| drop(handle.wait()));
                return Err(error);
            }
        }
    }
    Ok(handles)
}
