//! Creating, changing and deleting topics. What was done is durable when the call returns, and after a crash it is
//! done whole or not at all.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use fleuve_base::{Error, Result};

use crate::codes;
use crate::log::{Log, TOPICS_MAX, UNFINISHED};
use crate::name::check_topic_name;
use crate::options::TopicConfig;
use crate::recovery::RecoveryReport;
use crate::topic::{self, PARTITIONS_MAX, Settings, Topic, TopicMetadata};

impl Log {
    /// Creates a topic without settings but the log's own: see [`Log::create_topic_with`].
    pub fn create_topic(&self, name: &str, partitions: u32, config: TopicConfig) -> Result<Arc<Topic>> {
        self.create_topic_with(name, partitions, config, Settings::new())
    }

    /// Creates a topic (crash point C9).
    ///
    /// Errors: `E703` for its name, `E704` if it exists, `E710` and `E712` for partitions and settings.
    pub fn create_topic_with(
        &self,
        name: &str,
        partitions: u32,
        config: TopicConfig,
        settings: Settings,
    ) -> Result<Arc<Topic>> {
        check_topic_name(name)?;
        config.check()?;
        topic::check_settings(&settings)?;
        check_partitions(partitions)?;
        let _one_at_a_time = self.administration.lock();
        self.shared.health.check()?;
        self.check_absent(name)?;
        let metadata = TopicMetadata::new(name, self.random_id(), partitions, config, settings);
        let path = self.topics_directory.join(name);
        self.create_directory(&path, &metadata)?;
        let topic = topic::open(&self.shared, &path, &mut RecoveryReport::default())?;
        Ok(self.topics.write().insert(topic))
    }

    fn check_absent(&self, name: &str) -> Result<()> {
        let topics = &self.topics.read().by_name;
        if topics.contains_key(name) {
            return Err(codes::topic_exists(name));
        }
        if topics.len() >= TOPICS_MAX {
            return Err(codes::limit(format!("there are {TOPICS_MAX} topics, which is the limit")));
        }
        Ok(())
    }

    /// A random UUID (version 4, RFC 9562).
    fn random_id(&self) -> u128 {
        let random = &self.shared.env.random;
        let bits = u128::from(random.next_u64()) << 64 | u128::from(random.next_u64());
        bits & !(0xf << 76) & !(0b11 << 62) | 4 << 76 | 0b10 << 62
    }

    /// Prepares the topic under another name, so that it appears whole or not at all.
    fn create_directory(&self, path: &Path, metadata: &TopicMetadata) -> Result<()> {
        let fs = &self.shared.env.fs;
        let io = |e| Error::io(format_args!("create the topic `{}`", metadata.name), &e);
        let unfinished = self.topics_directory.join(format!("{}{UNFINISHED}new", metadata.name));
        if fs.exists(&unfinished) {
            fs.remove_dir_all(&unfinished).map_err(io)?;
        }
        if let Err(error) = topic::create_files(fs, &unfinished, metadata) {
            // It would be removed by the next start, but the room may be needed now.
            let _ = fs.remove_dir_all(&unfinished);
            return Err(error);
        }
        fs.rename(&unfinished, path).map_err(io)?;
        fs.sync_dir(&self.topics_directory).map_err(io)
    }

    /// Gives a topic other settings (crash point C10); its open partitions go by them from now on.
    ///
    /// Errors: `E705` without such a topic, `E710` and `E712` for settings that cannot be. After `E902` the old
    /// settings hold until a restart, and then the old or the new ones.
    pub fn alter_topic(&self, name: &str, config: TopicConfig, settings: Settings) -> Result<Arc<Topic>> {
        config.check()?;
        topic::check_settings(&settings)?;
        let _one_at_a_time = self.administration.lock();
        self.shared.health.check()?;
        let topic = self.topic(name)?;
        let partitions = topic.partitions().len() as u32;
        let metadata = TopicMetadata::new(name, topic.id(), partitions, config, settings.clone());
        topic::write_metadata(&*self.shared.env.fs, &self.topics_directory.join(name), &metadata)?;
        Ok(self.topics.write().insert(topic.altered(config, settings)))
    }

    /// Adds partitions so that there are `total` (crash point C10). The others go on as they are.
    ///
    /// Errors: `E705` without such a topic, `E710` if `total` is not more than there are, or over the limit.
    pub fn add_partitions(&self, name: &str, total: u32) -> Result<Arc<Topic>> {
        check_partitions(total)?;
        let _one_at_a_time = self.administration.lock();
        self.shared.health.check()?;
        let topic = self.topic(name)?;
        let present = topic.partitions().len() as u32;
        if total <= present {
            return Err(codes::limit(format!("the topic `{name}` has {present} partitions, and {total} are not more")));
        }
        let directory = self.topics_directory.join(name);
        let metadata = topic.metadata(total);
        topic::create_more(&self.shared.env.fs, &directory, name, present..total)?;
        topic::write_metadata(&*self.shared.env.fs, &directory, &metadata)?;
        let mut report = RecoveryReport::default();
        let more = topic::open_partitions(&self.shared, &directory, &metadata, present..total, &mut report)?;
        Ok(self.topics.write().insert(topic.extended(more)))
    }

    /// Deletes a topic and all that is in it. Readers that hold it may finish; appends fail from now on.
    pub fn delete_topic(&self, name: &str) -> Result<()> {
        let _one_at_a_time = self.administration.lock();
        self.shared.health.check()?;
        let topic = self.topic(name)?;
        let fs = &self.shared.env.fs;
        let io = |e| Error::io(format_args!("delete the topic `{name}`"), &e);
        let path = self.topics_directory.join(name);
        let unfinished = self.topics_directory.join(format!("{name}{UNFINISHED}{:032x}", topic.id()));
        self.topics.write().remove(&topic);
        for partition in topic.partitions() {
            partition.deleted.store(true, Ordering::Release);
            // Whoever appends right now finishes first, so that no roll creates files in a directory that moves.
            drop(partition.appender.lock());
        }
        fs.rename(&path, &unfinished).map_err(io)?;
        fs.sync_dir(&self.topics_directory).map_err(io)?;
        topic.partitions().iter().for_each(|partition| partition.fail_tickets(&codes::unknown_topic(name)));
        fs.remove_dir_all(&unfinished).map_err(io)
    }
}

fn check_partitions(partitions: u32) -> Result<()> {
    if partitions == 0 || partitions > PARTITIONS_MAX {
        return Err(codes::limit(format!("a topic has 1 to {PARTITIONS_MAX} partitions, not {partitions}")));
    }
    Ok(())
}
