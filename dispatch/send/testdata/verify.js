// Reads lines of {headers, body, secret, library}; answers each with ok or why not.
const { Webhook: StandardWebhook } = require('standardwebhooks')
const { Webhook: SvixWebhook } = require('svix')

require('readline').createInterface({ input: process.stdin }).on('line', (line) => {
  const c = JSON.parse(line)
  const body = Buffer.from(c.body, 'base64').toString()
  try {
    const options = c.raw ? { format: 'raw' } : undefined
    const Webhook = c.library === 'svix' ? SvixWebhook : StandardWebhook
    new Webhook(c.secret, options).verify(body, c.headers)
    console.log('ok')
  } catch (e) {
    console.log(String(e.message))
  }
})
