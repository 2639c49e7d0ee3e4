// The smallest correct receiver in Node: verify (by Standard Webhooks), tell repeats,
// answer, then work.
//
//   npm ci && WEBHOOK_SECRET=whsec_… node receiver.js
const http = require('node:http')
const { Webhook } = require('standardwebhooks')

const secret = process.env.WEBHOOK_SECRET
if (!secret) throw new Error('WEBHOOK_SECRET is not set')
const webhook = secret.startsWith('whsec_') ? new Webhook(secret) : new Webhook(secret, { format: 'raw' })
const mostBytes = 2 << 20
const seen = new Set()

function handle(id, event) {
  console.log('processed', id, event.event_type)
}

function receive(headers, body) {
  let event
  try {
    event = webhook.verify(body, headers)
  } catch {
    return 401
  }
  const id = headers['webhook-id']
  if (seen.has(id)) return 204 // a repeat: taken before
  seen.add(id)
  if (seen.size > 10_000) seen.delete(seen.values().next().value)
  setImmediate(() => {
    try {
      handle(id, event)
    } catch (e) {
      console.error('an event could not be processed:', e)
    }
  })
  return 204
}

http
  .createServer((request, response) => {
    const chunks = []
    let bytes = 0
    request.on('data', (chunk) => {
      bytes += chunk.length
      if (bytes <= mostBytes) chunks.push(chunk)
    })
    request.on('end', () => {
      const path = request.method === 'POST' && request.url === '/hook'
      response.statusCode = !path ? 404 : bytes > mostBytes ? 413 : receive(request.headers, Buffer.concat(chunks).toString())
      response.end()
    })
  })
  .listen(Number(process.env.PORT ?? 8080), '127.0.0.1')
