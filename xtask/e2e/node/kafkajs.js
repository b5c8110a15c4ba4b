// kafkajs, with the codecs that it leaves to others.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'

import zstd from '@bokuweb/zstd-wasm'
import kafkajs from 'kafkajs'
import lz4 from 'lz4-napi'
import snappy from 'snappyjs'

import {
  bootstrap, byPartition, check, epochMs, equal, failsWith, main, name, noise, numbered, partitions, pause, plain, range, same, sameList,
  total, until,
} from './harness.js'

const {
  AclOperationTypes, AclPermissionTypes, AclResourceTypes, CompressionCodecs, CompressionTypes, Kafka, Partitioners, ResourcePatternTypes,
  logLevel,
} = kafkajs
const codecs = ['None', 'GZIP', 'Snappy', 'LZ4', 'ZSTD'].map(key => [key, CompressionTypes[key]])

await zstd.init()
const codec = (compress, decompress) => () => ({
  compress: async encoder => Buffer.from(compress(encoder.buffer)),
  decompress: async buffer => Buffer.from(decompress(buffer)),
})
CompressionCodecs[CompressionTypes.Snappy] = codec(snappy.compress, snappy.uncompress)
CompressionCodecs[CompressionTypes.LZ4] = codec(lz4.compressFrameSync, lz4.decompressFrameSync)
CompressionCodecs[CompressionTypes.ZSTD] = codec(zstd.compress, zstd.decompress)

const kafka = new Kafka({ brokers: [bootstrap], logLevel: logLevel.NOTHING, retry: { initialRetryTime: 50, retries: 10 } })
const admin = kafka.admin()
await admin.connect()

const create = async (topic, numPartitions, configs = {}) => {
  const configEntries = Object.entries(configs).map(([key, value]) => ({ name: key, value }))
  await admin.createTopics({ topics: [{ topic, numPartitions, replicationFactor: 1, configEntries }], waitForLeaders: true })
  // A broker may tell of a topic a moment before it takes records for it, which a producer without acks would not notice.
  const led = () => admin.fetchTopicOffsets(topic).then(offsets => offsets.length === numPartitions, () => false)
  await until(`${topic} has leaders`, led)
  return topic
}

const producer = async settings => {
  const made = kafka.producer({ createPartitioner: Partitioners.DefaultPartitioner, ...settings })
  await made.connect()
  return made
}

const send = async (topic, messages, { acks = -1, compression, idempotent = false } = {}) => {
  const sender = await producer({ idempotent })
  const reports = await sender.send({ topic, messages, acks, compression })
  await sender.disconnect()
  return reports
}

const seen = ({ offset, key, value, headers, timestamp }) => ({ offset, key, value, headers, timestamp })

/** Reads from the beginning, and on a little to see what is too much. */
const read = async (topic, count, committed = true) => {
  const reader = kafka.consumer({ groupId: name(`reader-${Math.random()}`), readUncommitted: !committed, maxWaitTimeInMs: 100 })
  await reader.connect()
  await reader.subscribe({ topic, fromBeginning: true })
  const found = new Map()
  await reader.run({
    autoCommit: false,
    eachMessage: async ({ partition, message }) => {
      if (!found.has(partition)) found.set(partition, [])
      found.get(partition).push(seen(message))
    },
  })
  const told = () => [...found].map(([partition, records]) => [partition, records.length, records.at(-1).offset])
  await until(`${count} records of ${topic}`, () => total(found) >= count, told)
  await pause(300)
  equal('records read', total(found), count)
  await reader.disconnect()
  return found
}

const values = found => [...found.values()].flat().map(record => record.value.toString()).sort()

const produce = async () => {
  const records = range(0, 1000).map(numbered)
  for (const acks of [0, 1, -1]) {
    for (const [label, compression] of codecs) {
      const topic = await create(name(`produce-${acks}-${label}`), partitions)
      await send(topic, records, { acks, compression })
      same(await read(topic, records.length), byPartition(records))
    }
  }
  await big()
  const topic = await create(name('many'), 200)
  const spread = range(0, 2000).map(number => ({ ...numbered(number), partition: number % 200 }))
  await send(topic, spread)
  same(await read(topic, 2000), byPartition(spread))
}

/** Records of 900 KB, which no codec makes smaller or every one makes tiny. */
const big = async () => {
  for (const [label, compression] of codecs) {
    const topic = await create(name(`big-${label}`), 1)
    const records = plain(0, noise(900_000), Buffer.alloc(900_000), noise(900_000))
    for (const record of records) await send(topic, [record], { compression })
    same(await read(topic, 3), byPartition(records))
  }
}

const idempotent = async () => {
  const topic = await create(name('idempotent'), partitions)
  const sender = await producer({ idempotent: true, maxInFlightRequests: 1 })
  const records = range(0, 10_000).map(numbered)
  for (let from = 0; from < records.length; from += 500) {
    const reports = await sender.send({ topic, messages: records.slice(from, from + 500) })
    for (const report of reports) equal('base offset', report.baseOffset, `${from / partitions}`)
  }
  await sender.disconnect()
  same(await read(topic, records.length), byPartition(records))
}

// groups

/** A member of a group that reads in the background. */
const member = async (groupId, topic) => {
  const consumer = kafka.consumer({
    groupId, heartbeatInterval: 300, sessionTimeout: 10_000, rebalanceTimeout: 10_000, maxWaitTimeInMs: 100,
  })
  const self = { consumer, assigned: [], seen: [], next: new Map() }
  consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => (self.assigned = [...(payload.memberAssignment[topic] ?? [])].sort()))
  consumer.on(consumer.events.REBALANCING, () => (self.assigned = []))
  await consumer.connect()
  await consumer.subscribe({ topic, fromBeginning: true })
  const eachMessage = async ({ partition, message }) => {
    self.seen.push({ partition, offset: Number(message.offset), value: message.value.toString() })
    self.next.set(partition, Number(message.offset) + 1)
  }
  await consumer.run({ autoCommit: false, eachMessage })
  self.commit = () => consumer.commitOffsets([...self.next].map(([partition, offset]) => ({ topic, partition, offset: `${offset}` })))
  self.close = () => consumer.disconnect()
  return self
}

const balanced = (...members) => {
  const even = () => {
    const owned = members.flatMap(one => one.assigned).sort()
    return owned.join() === '0,1,2,3,4,5' && members.every(one => one.assigned.length === 6 / members.length)
  }
  return until(`${members.length} members share`, even, () => members.map(one => one.assigned))
}

/** Sends numbered records; all members together see each just once, and commit. */
const drained = async (topic, from, to, ...members) => {
  const before = members.map(one => one.seen.length)
  await send(topic, range(from, to).flatMap(number => plain(number % 6, `${number}`)))
  const news = () => members.flatMap((one, at) => one.seen.slice(before[at]).map(record => Number(record.value)))
  await until('every record seen', () => news().length >= to - from, () => news().length)
  await pause(200)
  sameList('records seen', news().sort((a, b) => a - b), range(from, to))
  for (const one of members) {
    for (const { partition, offset, value } of one.seen) equal(`${partition}@${offset}`, value, `${offset * 6 + partition}`)
    one.next.forEach((_, partition) => one.assigned.includes(partition) || one.next.delete(partition))
    await one.commit()
  }
}

const committed = async (groupId, topic) => {
  const [{ partitions: offsets }] = await admin.fetchOffsets({ groupId, topics: [topic] })
  return offsets.sort((a, b) => a.partition - b.partition).map(place => Number(place.offset))
}

const group = async () => {
  const [id, topic] = [name('eager-group'), await create(name('eager'), 6)]
  const first = await member(id, topic)
  await balanced(first)
  await drained(topic, 0, 600, first)
  const second = await member(id, topic)
  await balanced(first, second)
  await drained(topic, 600, 1200, first, second)
  const third = await member(id, topic)
  await balanced(first, second, third)
  await drained(topic, 1200, 1800, first, second, third)
  await second.close()
  await balanced(first, third)
  await drained(topic, 1800, 2400, first, third)
  await first.close()
  await third.close()
  const again = await member(id, topic)
  await balanced(again)
  equal('committed', await committed(id, topic), Array(6).fill(400))
  await drained(topic, 2400, 3000, again)
  equal('seen again', again.seen.filter(record => record.offset < 400), [])
  await again.close()
}

// transactions

const transactional = transactionalId => producer({ transactionalId, idempotent: true, maxInFlightRequests: 1 })

const transactions = async () => {
  const topic = await create(name('transactions'), partitions)
  const sender = await transactional(name('committer'))
  const all = { commit: [], abort: [] }
  for (const turn of range(0, 6)) {
    const word = turn % 2 === 0 ? 'commit' : 'abort'
    const transaction = await sender.transaction()
    const batch = range(0, 100).map(number => `${word}-${turn}-${number}`)
    await transaction.send({ topic, messages: batch.flatMap((value, number) => plain(number % partitions, value)) })
    await transaction[word]()
    all[word].push(...batch)
  }
  equal('read_committed', values(await read(topic, 300)), [...all.commit].sort())
  equal('read_uncommitted', values(await read(topic, 600, false)), [...all.commit, ...all.abort].sort())
  await openTransaction(topic)
  await transform()
  await zombie(topic)
}

/** What is not committed yet is not read, and neither is what comes behind it; its end lets both through. */
const openTransaction = async topic => {
  const transaction = await (await transactional(name('open'))).transaction()
  await transaction.send({ topic, messages: plain(0, 'open') })
  await send(topic, plain(0, 'behind'))
  const before = values(await read(topic, 300))
  check('an open transaction was read', !before.includes('open') && !before.includes('behind'))
  await transaction.commit()
  const after = values(await read(topic, 302))
  check('the end of it lets both through', after.includes('open') && after.includes('behind'))
}

/** Read, write, and commit the offsets with the output; an abort takes the offsets back with it. */
const transform = async () => {
  const [source, target, groupId] = [await create(name('source'), 2), await create(name('target'), 2), name('transform')]
  await send(source, range(0, 200).flatMap(number => plain(number % 2, `${number}`)))
  const sender = await transactional(name('transformer'))
  for (const end of ['abort', 'commit']) {
    const reader = await member(groupId, source)
    await until('200 records', () => reader.seen.length >= 200, () => reader.seen.length)
    const transaction = await sender.transaction()
    await transaction.send({ topic: target, messages: reader.seen.flatMap(({ partition, value }) => plain(partition, `<${value}>`)) })
    const both = range(0, 2).map(partition => ({ partition, offset: '100' }))
    await transaction.sendOffsets({ consumerGroupId: groupId, topics: [{ topic: source, partitions: both }] })
    await transaction[end]()
    const wanted = end === 'abort' ? '-1,-1' : '100,100'
    await until(`offsets after the ${end}`, async () => (await committed(groupId, source)).join() === wanted)
    await reader.close()
  }
  equal('transformed', values(await read(target, 200)), range(0, 200).map(number => `<${number}>`).sort())
}

/** The elder of two producers with one transactional id may not commit any more. */
const zombie = async topic => {
  const elder = await (await transactional(name('zombie'))).transaction()
  await elder.send({ topic, messages: plain(1, 'zombie') })
  const transaction = await (await transactional(name('zombie'))).transaction()
  await failsWith('INVALID_PRODUCER_EPOCH', () => elder.commit())
  await transaction.send({ topic, messages: plain(1, 'younger') })
  await transaction.commit()
  const got = values(await read(topic, 303))
  check("the zombie's record was read", !got.includes('zombie'))
  check("the younger's record was not read", got.includes('younger'))
}

// security

/** Kafka's permissions hold a moment after they were acknowledged. */
const permissionDelayMs = 300

const file = what => readFileSync(join(process.env.CERTIFICATES, what))

const logins = () => {
  const [username, password] = [process.env.USERNAME, process.env.PASSWORD]
  const with_ = (listener, mechanism) => ({ listener, mechanism, username, password })
  return [
    with_('SCRAM', 'scram-sha-256'), with_('SCRAM', 'scram-sha-512'), with_('TLS', 'scram-sha-512'), with_('TLS', 'plain'), with_('MTLS'),
  ]
}

const kafkaOf = ({ listener, mechanism, username, password }) => {
  const own = mechanism ? {} : { cert: file('client.pem'), key: file('client.key') }
  return new Kafka({
    brokers: [process.env[listener]], logLevel: logLevel.NOTHING, retry: { initialRetryTime: 50, retries: 3 },
    ssl: listener === 'SCRAM' ? undefined : { ca: [file('ca.pem')], ...own },
    sasl: mechanism ? { mechanism, username, password } : undefined,
  })
}

const comeIn = async login => {
  const client = kafkaOf(login).admin()
  await client.connect()
  equal('brokers', (await client.describeCluster()).brokers.length, 1)
  await client.disconnect()
}

/** The action fails, with an error of this name. */
const failsAs = async (errorName, action) => {
  const error = await action().then(() => undefined, error => error)
  check(`${errorName}, not ${error}`, error?.name === errorName)
}

const sendAs = async (login, topic, values) => {
  const sender = kafkaOf(login).producer({ createPartitioner: Partitioners.DefaultPartitioner })
  await sender.connect()
  try {
    await sender.send({ topic, messages: values.map(value => ({ partition: 0, value })) })
  } finally {
    await sender.disconnect()
  }
}

/** A consumer that cannot go on says why in an event. */
const readAs = async (login, groupId, topic, count) => {
  const reader = kafkaOf(login).consumer({ groupId, maxWaitTimeInMs: 100, retry: { initialRetryTime: 50, retries: 2 } })
  const values = []
  let crash
  reader.on(reader.events.CRASH, ({ payload }) => (crash = payload.error))
  await reader.connect()
  try {
    await reader.subscribe({ topic, fromBeginning: true })
    await reader.run({ eachMessage: async ({ message }) => void values.push(message.value.toString()) })
    await until(`${count} records`, () => crash || values.length >= count, () => values.length)
    if (crash) throw crash
  } finally {
    await reader.disconnect()
  }
  return values
}

const rule = (principal, resourceType, resourceName, operation) => ({
  resourceType, resourceName, resourcePatternType: ResourcePatternTypes.LITERAL, principal, host: '*', operation,
  permissionType: AclPermissionTypes.ALLOW,
})

const grant = async (...acl) => {
  equal('created', await admin.createAcls({ acl }), true)
  await pause(permissionDelayMs)
}

const permissions = async (login, label) => {
  const topic = await create(name(`secure-${label}`), 1)
  const other = await create(name(`secure-${label}-other`), 1)
  const groupId = name(`secure-${label}-group`)
  const principal = login.mechanism ? `User:${login.username}` : process.env.PRINCIPAL
  const sent = range(0, 100).map(number => `${number}`)
  await failsWith('TOPIC_AUTHORIZATION_FAILED', () => sendAs(login, topic, sent))
  const { READ, WRITE } = AclOperationTypes
  await grant(...[READ, WRITE].map(operation => rule(principal, AclResourceTypes.TOPIC, topic, operation)))
  await sendAs(login, topic, sent)
  // kafkajs asks every broker it knows for the coordinator, and forgets why it got none.
  await failsAs('KafkaJSGroupCoordinatorNotFound', () => readAs(login, groupId, topic, 100))
  await grant(rule(principal, AclResourceTypes.GROUP, groupId, READ))
  equal('what was read', await readAs(login, groupId, topic, 100), sent)
  await failsWith('TOPIC_AUTHORIZATION_FAILED', () => readAs(login, groupId, other, 1))
}

/** Rules are made, found by whose and of what they are, and deleted. */
const acls = async () => {
  const [topic, alice] = [name('ruled'), `User:${name('alice')}`]
  const { READ, WRITE, ALL, ANY } = AclOperationTypes
  const deny = {
    ...rule(alice, AclResourceTypes.GROUP, name('r'), ALL), host: '127.0.0.1', permissionType: AclPermissionTypes.DENY,
    resourcePatternType: ResourcePatternTypes.PREFIXED,
  }
  const acl = [READ, WRITE].map(operation => rule(alice, AclResourceTypes.TOPIC, topic, operation))
  await admin.createAcls({ acl: [...acl, deny] })
  const every = {
    resourceType: AclResourceTypes.ANY, resourcePatternType: ResourcePatternTypes.ANY, principal: alice, operation: ANY,
    permissionType: AclPermissionTypes.ANY,
  }
  const described = async () => (await admin.describeAcls(every)).resources.flatMap(resource => resource.acls).length
  await until('three rules', async () => (await described()) === 3)
  const ofTopic = { ...every, resourceType: AclResourceTypes.TOPIC, resourceName: topic }
  const { filterResponses: [deleted] } = await admin.deleteAcls({ filters: [ofTopic] })
  equal('deleted', deleted.matchingAcls.length, 2)
  await until('one is left', async () => (await described()) === 1)
}

const security = async () => {
  for (const login of logins()) {
    if (login.mechanism) {
      await failsAs('KafkaJSSASLAuthenticationError', () => comeIn({ ...login, password: 'wrong' }))
      await failsAs('KafkaJSSASLAuthenticationError', () => comeIn({ ...login, username: 'nobody' }))
    }
    await comeIn(login)
    await permissions(login, `${login.listener}-${login.mechanism}`.toLowerCase())
  }
  await acls()
}

// offsets

const offsets = async () => {
  const topic = await create(name('offsets'), 2)
  await send(topic, range(0, 200).map(number => ({ ...numbered(number), partition: number % 2 })))
  for (const [after, offset] of [[-5, '0'], [100, '50'], [101, '51'], [10_000, '100']]) {
    const listed = await admin.fetchTopicOffsetsByTimestamp(topic, epochMs + after)
    equal(`offset after ${after}`, listed.find(place => place.partition === 0).offset, offset)
  }
  equal('ends', (await ends(topic)).map(({ low, high }) => [low, high]), [['0', '100'], ['0', '100']])
  await pauseAndSeek(topic)
  await lag(topic)
}

const ends = async topic => (await admin.fetchTopicOffsets(topic)).sort((a, b) => a.partition - b.partition)

const pauseAndSeek = async topic => {
  const reader = kafka.consumer({ groupId: name('seeking'), maxWaitTimeInMs: 100 })
  const got = [[], []]
  await reader.connect()
  await reader.subscribe({ topic, fromBeginning: true })
  await reader.run({ autoCommit: false, eachMessage: async ({ partition, message }) => got[partition].push(Number(message.offset)) })
  await until('all of it', () => got[0].length >= 100 && got[1].length >= 100)
  reader.pause([{ topic, partitions: [1] }])
  for (const place of got) place.length = 0
  reader.seek({ topic, partition: 0, offset: '42' })
  reader.seek({ topic, partition: 1, offset: '90' })
  await until('partition 0 from 42', () => got[0].length >= 58)
  await pause(200)
  equal('without the paused partition', got, [range(42, 100), []])
  reader.resume([{ topic, partitions: [1] }])
  await until('partition 1 from 90', () => got[1].length >= 10)
  equal('after resuming', got[1], range(90, 100))
  await reader.disconnect()
}

const lag = async topic => {
  const groupId = name('lagging')
  await admin.setOffsets({ groupId, topic, partitions: [{ partition: 0, offset: '30' }, { partition: 1, offset: '70' }] })
  const at = await committed(groupId, topic)
  equal('lag', (await ends(topic)).map(({ high }, partition) => Number(high) - at[partition]), [70, 30])
  await admin.resetOffsets({ groupId, topic, earliest: true })
  const [{ partitions: reset }] = await admin.fetchOffsets({ groupId, topics: [topic], resolveOffsets: true })
  equal('reset', reset.map(place => place.offset), ['0', '0'])
}

// admin

const administer = async () => {
  const { brokers, controller } = await admin.describeCluster()
  equal('brokers', brokers.map(({ host, port }) => `${host}:${port}`), [bootstrap])
  equal('controller', controller, brokers[0].nodeId)
  await topics()
  await configs()
  await deleteRecords()
  await groups()
}

const topics = async () => {
  const topic = await create(name('admin'), 3)
  equal('made twice', await admin.createTopics({ topics: [{ topic, numPartitions: 3 }] }), false)
  const described = async () => (await admin.fetchTopicMetadata({ topics: [topic] })).topics[0].partitions
  equal('partitions', (await described()).map(place => place.partitionId).sort(), [0, 1, 2])
  await admin.createPartitions({ topicPartitions: [{ topic, count: 5 }] })
  await until('more partitions', async () => (await described()).length === 5)
  await failsWith('INVALID_PARTITIONS', () => admin.createPartitions({ topicPartitions: [{ topic, count: 2 }] }))
  await admin.deleteTopics({ topics: [topic] })
  await until('deleted', async () => !(await admin.listTopics()).includes(topic))
}

const configs = async () => {
  const topic = await create(name('configs'), 1, { 'retention.ms': '86400000' })
  const expect = async (key, value, isDefault) => {
    const described = await admin.describeConfigs({ resources: [{ type: 2, name: topic }], includeSynonyms: false })
    const entry = described.resources[0].configEntries.find(({ configName }) => configName === key)
    equal(key, [entry.configValue, entry.configSource === 5 || entry.isDefault], [value, isDefault])
  }
  await expect('retention.ms', '86400000', false)
  await expect('cleanup.policy', 'delete', true)
  const configEntries = [{ name: 'segment.bytes', value: '1048576' }]
  await admin.alterConfigs({ resources: [{ type: 2, name: topic, configEntries }] })
  await expect('segment.bytes', '1048576', false)
  await expect('retention.ms', '604800000', true)
}

const deleteRecords = async () => {
  const topic = await create(name('records'), 1)
  await send(topic, range(0, 100).flatMap(number => plain(0, `${number}`)))
  await admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: '40' }] })
  equal('low', (await admin.fetchTopicOffsets(topic))[0].low, '40')
  equal('what is left', (await read(topic, 60)).get(0).map(record => Number(record.offset)), range(40, 100))
}

const groups = async () => {
  const [topic, groupId] = [await create(name('grouped'), 6), name('admin-group')]
  const one = await member(groupId, topic)
  await balanced(one)
  await drained(topic, 0, 60, one)
  const { groups: [described] } = await admin.describeGroups([groupId])
  equal('described', [described.state, described.protocolType, described.members.length], ['Stable', 'consumer', 1])
  check('listed', (await admin.listGroups()).groups.some(listed => listed.groupId === groupId))
  await failsWith('NON_EMPTY_GROUP', () => admin.deleteGroups([groupId]).catch(error => { throw error.groups[0].error }))
  await one.close()
  equal('offsets', await committed(groupId, topic), Array(6).fill(10))
  await admin.deleteGroups([groupId])
}

await main({ produce, idempotent, group, transactions, offsets, admin: administer, security })
