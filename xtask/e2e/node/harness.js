// What a program here needs: names, the records it sends, and expectations that say what differed.

import { randomFillSync } from 'node:crypto'
import { isDeepStrictEqual, inspect } from 'node:util'

export const bootstrap = process.env.BOOTSTRAP
export const partitions = 4
export const epochMs = 1_700_000_000_000
export const patienceMs = 45_000

/** A topic, group or transactional id of this run alone. */
export const name = what => `${process.env.RUN}-${what}`

const short = thing => {
  const text = inspect(thing, { depth: 6, breakLength: Infinity })
  return text.length > 1500 ? `${text.slice(0, 1500)}…` : text
}

export const check = (what, truth) => {
  if (!truth) throw new Error(what)
}

export const equal = (what, got, want) =>
  check(`${what}\n   got  ${short(got)}\n   want ${short(want)}`, isDeepStrictEqual(got, want))

/** Lists that should be equal, told by the first place where they are not. */
export const sameList = (what, got, want) => {
  for (let at = 0; at < Math.min(got.length, want.length); at++) equal(`${what}: at ${at}`, got[at], want[at])
  equal(`${what}: how many`, got.length, want.length)
}

/** What is sent and seen, partition by partition. */
export const same = (found, wanted) => {
  equal('partitions with records', [...found.keys()].sort(), [...wanted.keys()].sort())
  for (const [partition, records] of wanted) sameList(`partition ${partition}`, found.get(partition), records)
}

export const total = found => [...found.values()].reduce((sum, records) => sum + records.length, 0)

export const pause = ms => new Promise(resolve => setTimeout(resolve, ms))

/** Waits for a condition; `told` says how far it came. */
export const until = async (what, condition, told = () => '') => {
  for (const end = Date.now() + patienceMs; Date.now() < end; await pause(10)) {
    if (await condition()) return
  }
  throw new Error(`${what}: not within ${patienceMs} ms; ${short(told())}`)
}

/** The action fails, with this error's type. */
export const failsWith = async (type, action) => {
  try {
    await action()
  } catch (error) {
    const all = [error, error.cause ?? {}, ...(error.errors ?? [])]
    check(`${type}, not ${error}`, all.some(one => one.type === type))
    return
  }
  throw new Error(`${type} was expected, but it succeeded`)
}

/** The record that belongs to a number: some without key, without value, with an empty one, with headers. */
export const numbered = number => ({
  partition: number % partitions,
  key: number % 5 === 0 ? null : Buffer.from(`key-${number}`),
  value: number % 7 === 1 ? null : number % 11 === 0 ? Buffer.alloc(0) : Buffer.from(`value-${number}-${'x'.repeat(number % 200)}`),
  headers: number % 3 === 0 ? {} : { a: [Buffer.from(`${number}`), Buffer.from('again')], empty: Buffer.alloc(0) },
  timestamp: `${epochMs + number}`,
})

export const range = (from, to) => Array.from({ length: to - from }, (_, at) => from + at)

/** Records of which only the value matters. */
export const plain = (partition, ...values) =>
  values.map(value => ({ partition, key: null, value: Buffer.from(value), headers: {}, timestamp: `${epochMs}` }))

export const noise = bytes => randomFillSync(Buffer.alloc(bytes))

/** What a reader should see of records. */
export const byPartition = records => {
  const seen = new Map()
  for (const { partition, ...record } of records) {
    if (!seen.has(partition)) seen.set(partition, [])
    seen.get(partition).push({ offset: `${seen.get(partition).length}`, ...record })
  }
  return seen
}

/** Runs the scenario that the command line names; the exit code tells. */
export const main = async scenarios => {
  try {
    await scenarios[process.argv[2]]()
    process.exit(0)
  } catch (error) {
    console.error(error)
    process.exit(1)
  }
}
