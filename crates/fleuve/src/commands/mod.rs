//! One file for each command.

mod acl;
mod config;
mod consume;
mod demo;
mod discover;
mod doctor;
mod explain;
mod generate;
mod group;
mod help;
mod job;
mod place;
mod produce;
mod replay;
mod run;
mod serve;
mod steer;
mod target;
mod topic;
mod user;

use clap::CommandFactory;

use crate::args::{Arguments, Command, ConfigCommand, JobCommand};
use crate::report::Failure;

/// Runs the command that the arguments name.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let json = arguments.json;
    match &arguments.command {
        Command::Demo(demo) => demo::run(demo),
        Command::Run(run) => run::file(run, json),
        Command::Sql(sql) => run::text(sql, json),
        Command::Serve(arguments) => serve::run(arguments, json),
        Command::Config(ConfigCommand::Show(arguments)) => Ok(config::show(arguments, json)?),
        Command::Config(ConfigCommand::Check { file }) => Ok(config::check(file)?),
        Command::Explain(explain) => explain::run(explain, json),
        Command::Discover(discover) => Ok(discover::run(discover)?),
        Command::Play(play) => run::play(play, json),
        Command::Produce(produce) => Ok(produce::run(produce)?),
        Command::Consume(consume) => Ok(consume::run(consume, json)?),
        Command::Job(JobCommand::Ls(data)) => Ok(job::list(data, json)?),
        Command::Job(JobCommand::Stop { name, data }) => Ok(job::stop(name, data)?),
        Command::Job(JobCommand::Rm { name, data }) => Ok(job::remove(name, data)?),
        Command::Topic(command) => Ok(topic::run(command, json)?),
        Command::Group(command) => Ok(group::run(command, json)?),
        Command::User(command) => Ok(user::run(command, json)?),
        Command::Acl(command) => Ok(acl::run(command, json)?),
        Command::Replay(replay) => Ok(replay::run(replay, json)?),
        Command::Doctor(data) => Ok(doctor::run(data, json)?),
        Command::Generate(command) => Ok(generate::run(command)?),
        Command::Completions { shell } => {
            let mut command = Arguments::command();
            clap_complete::generate(*shell, &mut command, "fleuve", &mut std::io::stdout());
            Ok(())
        }
        Command::Help { topic } => Ok(help::run(topic)?),
    }
}
