//! Events as JSON lines.

use std::sync::Arc;

use super::random::{Random, hottest};
use super::timestamp::TimestampText;
use super::{
    ACTIVE_PERSONS, AUCTIONS, EVENTS_PER_PERSON, EventOptions, FIRST_AUCTION_ID, FIRST_CATEGORY_ID, FIRST_PERSON_ID,
    IN_FLIGHT_AUCTIONS, PERSONS,
};

const STATES: [&str; 6] = ["AZ", "CA", "ID", "OR", "WA", "WY"];
const CITIES: [&str; 10] =
    ["Phoenix", "Los Angeles", "San Francisco", "Boise", "Portland", "Bend", "Redmond", "Seattle", "Kent", "Cheyenne"];
const FIRST_NAMES: [&str; 11] =
    ["Peter", "Paul", "Luke", "John", "Saul", "Vicky", "Kate", "Julie", "Sarah", "Deiter", "Walter"];
const LAST_NAMES: [&str; 9] = ["Shultz", "Abrams", "Spencer", "White", "Bartels", "Walton", "Smith", "Jones", "Noris"];
const HOT_CHANNELS: [&str; 4] = ["Google", "Facebook", "Baidu", "Apple"];
const CHANNELS: u32 = 10_000;

/// Random letters that all padding is cut from.
const PADDING_BYTES: usize = 1 << 20;

/// What all events of a seed share.
struct Tables {
    padding: Vec<u8>,
    hot_urls: Vec<String>,
    channels: Vec<(String, String)>,
}

/// Makes events. Cloning shares the tables.
#[derive(Clone)]
pub struct Generator {
    options: EventOptions,
    events: Option<i64>,
    tables: Arc<Tables>,
    time: TimestampText,
    expiry: TimestampText,
    first: Vec<u8>,
    second: Vec<u8>,
}

impl Tables {
    fn new(seed: u64) -> Self {
        let mut random = Random::new(seed, u64::MAX);
        let padding = (0..PADDING_BYTES).map(|_| b'a' + random.below(26) as u8).collect();
        let hot_urls = (0..HOT_CHANNELS.len()).map(|_| base_url(&mut random)).collect();
        let channels = (0..CHANNELS).map(|number| channel(number, &mut random)).collect();
        Tables { padding, hot_urls, channels }
    }
}

fn base_url(random: &mut Random) -> String {
    let mut path = Vec::new();
    for _ in 0..3 {
        random.text(5, b'_', &mut path);
        path.push(b'/');
    }
    format!("https://www.nexmark.com/{}item.htm?query=1", String::from_utf8_lossy(&path))
}

fn channel(number: u32, random: &mut Random) -> (String, String) {
    let mut url = base_url(random);
    if random.mostly(10) {
        let id = i64::from(number.reverse_bits() as i32).abs();
        url.push_str(&format!("&channel_id={id}"));
    }
    (format!("channel-{number}"), url)
}

/// The number of the last person (from 0) at an event.
fn last_person(event: i64) -> i64 {
    let (group, rest) = (event / EVENTS_PER_PERSON, event % EVENTS_PER_PERSON);
    group * PERSONS + rest.min(PERSONS - 1)
}

/// The number of the last auction (from 0; −1 before the first) at an event.
fn last_auction(event: i64) -> i64 {
    let (group, rest) = (event / EVENTS_PER_PERSON, event % EVENTS_PER_PERSON);
    match rest - PERSONS {
        before if before < 0 => (group - 1) * AUCTIONS + AUCTIONS - 1,
        auction => group * AUCTIONS + auction.min(AUCTIONS - 1),
    }
}

fn any_person(event: i64, random: &mut Random) -> i64 {
    let persons = last_person(event) + 1;
    let active = persons.min(ACTIVE_PERSONS);
    persons - active + random.below(active + 10)
}

fn any_auction(event: i64, random: &mut Random) -> i64 {
    let last = last_auction(event);
    let first = (last - IN_FLIGHT_AUCTIONS).max(0);
    first + random.below(last - first + 1 + 10)
}

impl Generator {
    /// A generator of so many events, or of any number.
    pub fn new(options: &EventOptions, events: Option<u64>) -> Self {
        Generator {
            options: *options,
            events: events.map(|events| i64::try_from(events).unwrap_or(i64::MAX)),
            tables: Arc::new(Tables::new(options.seed)),
            time: TimestampText::new(),
            expiry: TimestampText::new(),
            first: Vec::new(),
            second: Vec::new(),
        }
    }

    /// Event time of an event, in ms since 1970.
    pub fn time_of(&self, event: i64) -> i64 {
        self.options.base_ms + (event as f64 * (1e6 / self.options.rate)) as i64 / 1000
    }

    /// The event that stands at a place of the stream: its own number, or another of its group.
    fn event_at(&self, place: i64) -> i64 {
        let group = self.options.group as i64;
        let first = place / group * group;
        let whole = self.events.is_none_or(|events| events - first >= group);
        if whole { first + ((i128::from(place) * 953) % i128::from(group)) as i64 } else { place }
    }

    /// Appends the event at a place of the stream, as a line.
    pub fn write_event(&mut self, place: u64, out: &mut Vec<u8>) {
        let event = self.event_at(place as i64);
        let mut random = Random::new(self.options.seed, event as u64);
        match event % EVENTS_PER_PERSON {
            kind if kind < PERSONS => self.write_person(event, &mut random, out),
            kind if kind < PERSONS + AUCTIONS => self.write_auction(event, &mut random, out),
            _ => self.write_bid(event, &mut random, out),
        }
    }

    fn write_person(&mut self, event: i64, random: &mut Random, out: &mut Vec<u8>) {
        let (first, last) = (random.pick(&FIRST_NAMES), random.pick(&LAST_NAMES));
        fill(&mut self.first, |text| random.text(7, b' ', text));
        fill(&mut self.second, |text| random.text(5, b' ', text));
        let email_bytes = self.first.len() + 1 + self.second.len() + 4;
        let card = [(); 4].map(|()| random.below(10_000));
        let (city, state) = (random.pick(&CITIES), random.pick(&STATES));
        let bytes = 8 + first.len() + 1 + last.len() + email_bytes + 19 + city.len() + state.len();

        put_number(out, br#"{"event_type":0,"person":{"id":"#, last_person(event) + FIRST_PERSON_ID);
        put(out, &[br#","name":""#, first.as_bytes(), b" ", last.as_bytes()]);
        put(out, &[br#"","emailAddress":""#, &self.first, b"@", &self.second, br#".com","creditCard":""#]);
        put_card(out, card);
        put(out, &[br#"","city":""#, city.as_bytes(), br#"","state":""#, state.as_bytes(), br#"","dateTime":""#]);
        self.time.write(self.time_of(event), out);
        let padding = self.padding(random, bytes as i64, 200);
        put(out, &[br#"","extra":""#, padding, b"\"},\"auction\":null,\"bid\":null}\n"]);
    }

    fn write_auction(&mut self, event: i64, random: &mut Random, out: &mut Vec<u8>) {
        let seller =
            if random.mostly(4) { hottest(last_person(event)) } else { any_person(event, random) } + FIRST_PERSON_ID;
        let category = FIRST_CATEGORY_ID + random.below(5);
        let initial = random.price();
        let time = self.time_of(event);
        let horizon = self.time_of(event + IN_FLIGHT_AUCTIONS * EVENTS_PER_PERSON / AUCTIONS) - time;
        let expires = time + 1 + random.below((horizon * 2).max(1));
        fill(&mut self.first, |text| random.text(20, b' ', text));
        fill(&mut self.second, |text| random.text(100, b' ', text));
        let reserve = initial + random.price();
        let bytes = 8 + self.first.len() + self.second.len() + 40;

        let id = last_auction(event) + FIRST_AUCTION_ID;
        put_number(out, br#"{"event_type":1,"person":null,"auction":{"id":"#, id);
        put(out, &[br#","itemName":""#, &self.first, br#"","description":""#, &self.second]);
        put_number(out, br#"","initialBid":"#, initial);
        put_number(out, br#","reserve":"#, reserve);
        put(out, &[br#","dateTime":""#]);
        self.time.write(time, out);
        put(out, &[br#"","expires":""#]);
        self.expiry.write(expires, out);
        put_number(out, br#"","seller":"#, seller);
        put_number(out, br#","category":"#, category);
        let padding = self.padding(random, bytes as i64, 500);
        put(out, &[br#","extra":""#, padding, b"\"},\"bid\":null}\n"]);
    }

    fn write_bid(&mut self, event: i64, random: &mut Random, out: &mut Vec<u8>) {
        let auction =
            if random.mostly(2) { hottest(last_auction(event)) } else { any_auction(event, random) } + FIRST_AUCTION_ID;
        // nexmark-flink adds the first person's id twice to a bidder, and so do its published results.
        let bidder = if random.mostly(4) { hottest(last_person(event)) + 1 } else { any_person(event, random) }
            + 2 * FIRST_PERSON_ID;
        let price = random.price();
        let hot = random.mostly(2);
        let number = random.below(if hot { HOT_CHANNELS.len() as i64 } else { i64::from(CHANNELS) }) as usize;

        put_number(out, br#"{"event_type":2,"person":null,"auction":null,"bid":{"auction":"#, auction);
        put_number(out, br#","bidder":"#, bidder);
        put_number(out, br#","price":"#, price);
        let (channel, url) = self.channel(hot, number);
        put(out, &[br#","channel":""#, channel.as_bytes(), br#"","url":""#, url.as_bytes(), br#"","dateTime":""#]);
        self.time.write(self.time_of(event), out);
        let padding = self.padding(random, 32, 100);
        put(out, &[br#"","extra":""#, padding, b"\"}}\n"]);
    }

    fn channel(&self, hot: bool, number: usize) -> (&str, &str) {
        if hot {
            return (HOT_CHANNELS[number], &self.tables.hot_urls[number]);
        }
        let (channel, url) = &self.tables.channels[number];
        (channel, url)
    }

    /// Padding that brings an event of so many bytes to about the average.
    fn padding(&self, random: &mut Random, bytes: i64, average: i64) -> &[u8] {
        if bytes > average {
            return b"";
        }
        let wanted = average - bytes;
        let spread = (wanted as f64 * 0.2).round() as i64;
        let length = wanted - spread + if spread == 0 { 0 } else { random.below(2 * spread) };
        let start = random.below(PADDING_BYTES as i64 - length) as usize;
        &self.tables.padding[start..start + length as usize]
    }
}

fn fill(text: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    text.clear();
    write(text);
}

#[inline]
fn put(out: &mut Vec<u8>, pieces: &[&[u8]]) {
    pieces.iter().for_each(|piece| out.extend_from_slice(piece));
}

/// Appends a text and a number that is not negative.
#[inline]
fn put_number(out: &mut Vec<u8>, before: &[u8], number: i64) {
    out.extend_from_slice(before);
    let (mut digits, mut first, mut rest) = ([0; 20], 20, number.unsigned_abs());
    loop {
        first -= 1;
        digits[first] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[first..]);
}

fn put_card(out: &mut Vec<u8>, card: [i64; 4]) {
    for (place, block) in card.into_iter().enumerate() {
        if place > 0 {
            out.push(b' ');
        }
        out.extend([block / 1000, block / 100 % 10, block / 10 % 10, block % 10].map(|digit| b'0' + digit as u8));
    }
}
