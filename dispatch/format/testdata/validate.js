// Reads a JSON array of {format, body} and prints what the services' own libraries say of each
// message that they would refuse. An empty answer is a good one.
const { EmbedBuilder, ButtonBuilder, embedLength } = require("@discordjs/builders");
const cards = require("adaptivecards/dist/adaptivecards.js");
const { HTTP, CloudEvent } = require("cloudevents");

function discord(body) {
  const message = JSON.parse(body);
  if ((message.content ?? "").length > 2000) throw new Error("content is over 2000 characters");
  if (!message.content && !(message.embeds?.length > 0)) throw new Error("empty message");
  if ((message.embeds ?? []).length > 10) throw new Error("more than 10 embeds");
  let all = 0;
  for (const e of message.embeds ?? []) {
    const b = new EmbedBuilder();
    // Each of these refuses what Discord would.
    if ("title" in e) b.setTitle(e.title);
    if ("description" in e) b.setDescription(e.description);
    if ("url" in e) b.setURL(e.url);
    if ("color" in e) b.setColor(e.color);
    if ("fields" in e) b.setFields(e.fields);
    if ("footer" in e) b.setFooter(e.footer);
    if ("author" in e) b.setAuthor(e.author);
    if ("timestamp" in e) {
      const at = new Date(e.timestamp);
      if (Number.isNaN(at.valueOf())) throw new Error("timestamp " + e.timestamp);
      b.setTimestamp(at);
    }
    all += embedLength(b.toJSON());
  }
  if (all > 6000) throw new Error(`the embeds have ${all} characters, over 6000`);
  for (const row of message.components ?? []) {
    for (const c of row.components) new ButtonBuilder().setLabel(c.label).setStyle(c.style).setURL(c.url).toJSON();
  }
}

function teams(body) {
  const message = JSON.parse(body);
  for (const a of message.attachments) {
    const context = new cards.SerializationContext(cards.Versions.v1_4);
    const card = new cards.AdaptiveCard();
    card.parse(a.content, context);
    const found = [];
    for (let i = 0; i < context.eventCount; i++) found.push(context.getEventAt(i).message);
    for (const e of card.validateProperties().validationEvents) found.push(e.message);
    if (card.getItemCount() === 0) found.push("empty card");
    if (found.length > 0) throw new Error(found.join("; "));
  }
  if (message.attachments.length === 0) throw new Error("no card");
  // https://learn.microsoft.com/microsoftteams/platform/webhooks-and-connectors/how-to/add-incoming-webhook
  if (Buffer.byteLength(body) > 28 * 1024) throw new Error("over 28 KB");
}

function cloudevents(body) {
  const event = HTTP.toEvent({ headers: { "content-type": "application/cloudevents+json" }, body });
  if (!(event instanceof CloudEvent)) throw new Error("no event");
  event.validate();
}

const checks = { discord, teams, cloudevents };
let input = "";
process.stdin.setEncoding("utf8");
process.stdin.on("data", (chunk) => (input += chunk));
process.stdin.on("end", () => {
  let checked = 0;
  for (const { format, body } of JSON.parse(input)) {
    try {
      checks[format](body);
      checked++;
    } catch (error) {
      console.log(`${format}: ${error.message}: ${body.slice(0, 1500)}`);
    }
  }
  console.error(`${checked} good`);
});
