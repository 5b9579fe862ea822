// What people say, and what names and descriptions of tools call it. Left: words that tools use for one thing. Right of "<": what
// people also say for it, in one or more words. Whoever asks with any of them finds the words on the left. The list is about English and
// about software in general; what a company calls its own things belongs into the setting `synonyms`.
export const generalWords = `
create, add, insert, new, post < make, start, set up, put, register, build, write, draft, begin, produce, define, enter, save, launch, establish, generate, file
delete, remove, destroy, trash < get rid of, throw away, throw out, erase, wipe, drop, discard, take away, kill, clear out, take down, take back, give up
update, edit, modify, patch, change, set < fix, correct, adjust, alter, rename, move, put off, postpone, reschedule, push back, switch, revise, mark, tick off, close
list, get < show, which, all, who, see, display, browse, look at, overview
get, retrieve, read, fetch < show, look up, see, view, check, details
search, find, query < look for, look up, locate, hunt, seek, discover, where
send, post, message < write, tell, notify, mail, deliver, text, dm, let know, announce, say
cancel, delete, stop < call off, abort, give up, quit, end, revoke, terminate
stop, pause, end < hang up, halt, interrupt, shut down, kill
start, run, trigger, dispatch < kick off, launch, fire, execute, begin, boot, play, spin up
rerun, restart, retry < again, repeat, redo, reboot, re run
archive, close < close down, shut, retire, put away
restore, unarchive, untrash < bring back, recover, undelete, undo, reopen, rescue
invite, add < ask to join, bring in, let in
remove, kick < throw out, kick out, expel, take off
assign, set < hand, delegate, allocate
share, permission, access, grant < give access, let see, allow, who can see, rights, authorize
revoke, remove, delete, permission < stop sharing, take away access, unshare
enable, activate, start < turn on, switch on, allow
disable, deactivate, stop < turn off, switch off, forbid
approve, accept, review < sign off, confirm, agree, ok, green light
reject, decline, deny < refuse, turn down, say no
download, export, get < pull, save, grab, get a copy
upload, import, insert, create < put up, attach, submit, publish, send up
copy, duplicate, clone, fork < replicate, mirror
merge, join, combine < land, unite, fold
verify, validate, check < prove, make sure, confirm, test, whether
block, ban, suspend < lock out, shut out, silence, spam
lock, restrict, protect < freeze, stop people, require
mute, snooze, disturb < silence, quiet, hush
subscribe, watch, follow, webhook < notify, alert, tell my app, keep informed, whenever, tell our
register, registrant, subscription, create < sign up, enroll, enlist, signed up, book
transfer, move < hand over, pass on, shift
append, add, insert, children < put at the end, at the bottom
attach, attachment, file < enclose, attached
reply, comment, answer < respond, react, respond to, comment on
comment, note, story < remark, say, feedback, opinion
reaction, rating, rate < like, thumbs up, thumb, emoji, heart, vote
bookmark, star, save < favourite, favorite, keep, like
translate < translation, in french, in german, language
convert, export, format < turn into, make into, transform
summary, statistics, report, usage < numbers, metrics, count, figures
usage, record, billing, cost < spend, spending, expenses, costs
balance, account, credit < money left, funds, credit left
charge, payment, intent, pay < bill, collect money, take money
refund, reversal, credit < money back, give back, reimburse, return
invoice, bill < billing document
dispute, chargeback < complain, contest, evidence
payout, transfer < pay out, bank transfer, earnings, wire
coupon, promotion, discount < voucher, off, percent off, promo code, discount code
price, plan, product < cost, fee, rate, tariff
subscription, plan < membership, monthly, recurring, yearly
payment, method, card, source < credit card, saved card, wallet
checkout, payment, session < payment page, cart, shopper, basket
customer, user, client < buyer, shopper, patron, consumer
account, user, member < login, profile
user, member, people, person < someone, somebody, colleague, coworker, employee, teammate, staff, who, everybody
contact, people, person < address book, phone book, acquaintance
member, participant, attendee < attended, who is in, attendance, who was there
participant, attendee < guest, visitor
group, team < department, crew, squad
message, chat < text, dm, post, note
sms, message < text message, text
email, mail, message < e mail, letter, mails, emails
thread, conversation, replies < discussion, whole thread
draft, message < not send yet, unsent
label, tag < folder, category, mark as
filter, rule < sort, automatically
trash, delete < bin, rubbish, recycle
signature, send as < footer
vacation, settings < out of office, holiday reply, auto reply, autoresponder
delegate, assistant < secretary, on my behalf, for me
forwarding, forward < redirect
channel, conversation < room, chat room, space
presence, status < online, available, busy
topic, purpose, description < header, subject, headline
event, calendar < appointment, meeting, schedule, agenda, what is on
freebusy, availability, free < both free, free time, available, when are
instance, recurring < occurrence, occurrences, repeated, every
meeting, conference < call, session, get together
webinar < online seminar, seminar
recording, video < tape, recorded, voice recording
poll, survey, form, questionnaire < quiz, vote
response, answer < reply, answers, answered
panelist, speaker < presenter
voicemail, mail < voice message
call, phone < ring, dial, telephone, phone call
queue < hold, waiting line, on hold, line up
number, phone < telephone number
toll free, number < free number, 0800, 800
incoming, phone, number, create < buy number, buy a phone number
available, phone, number < could buy, for sale
transcription, transcribe, transcript < write down, text of, what is said, speech to text, spoken
speech, audio < voice, sound
file, document < paper, doc, attachment
document, doc < paper, word file, minutes, write up
spreadsheet, sheet < excel, table
values, range, cell < cells, row, column, rows
row, values, append < line
revision, version, history < earlier version, earlier versions, older
storage, quota, about < space left, disk space
folder, label < directory
permission, acl < access, who can see, sharing
task < to do, todo, todos, chore, job, ticket, work item, on my plate
task, complete, update < done, finished, finish, complete
subtask, task < smaller pieces, smaller, step
dependency, dependent < blocked by, waits for, until
section, column < board column, stage
project < initiative, undertaking
goal, objective < target, okr
status, update < progress, progress update, how it goes
template < pattern, standard, blueprint
reminder < remind me, remember
issue, ticket < bug, defect, problem, bug report, error report
pull request, pull < pr, prs, merge request, change request
review < look over, code review, feedback
repository, repo < codebase, project code, source
content, file < contents, source code
commit, change < changes, changed
compare, diff < what changed, difference, between
branch, ref < line of work, feature branch
ref, branch, git < branch
release, tag < version, cut, newest version
asset, artifact < binary, output, build output
workflow, action, run < ci, pipeline, build, deploy, continuous integration, job
log, logs < output, trace, why did, console
secret < password, token, credential, api key, api token
variable, environment < env
runner < build machine, agent
alert, vulnerability, dependabot < security hole, security holes, weakness
code scanning, alert < static analysis
secret scanning, alert < leaked, by accident, committed a password
license < licence, terms of use
snippet, gist < piece of code, code snippet
key, ssh < public key
collaborator, member < contractor, contributor, partner
organization, org, workspace < company, our organization
notification < inbox, unread, news
milestone < deadline, due date
views, traffic, clones < visited, visitors, visits
rate limit, limit < quota, api quota, requests left
codespace < cloud development environment, dev environment
webhook, hook < callback, notify our server
container < process, instance, docker container
image < picture, photo, drawing, artwork, avatar
image, generation < draw, paint, sketch, illustrate
thumbnail, cover < preview picture, preview
caption < subtitle, subtitles
video < clip, film, movie
playlist < mix, list of songs
track, song < music, tune
album, release < record, lp
artist < band, singer, musician
playback, player, play < listen, music, playing, play
currently playing, track < song is this, what song
skip, next < next song
queue, add < after this one, play next
recently played, history < been listening, listened to
recommendation, similar < suggest, suggestion, similar to
related, similar < like, sound like
top, popular, trending < favourite, most popular, best, hot, popular
features, audio < tempo, danceable, how fast
device < speaker, speakers, living room
live, broadcast, stream < streaming, livestream, on air
volume < loud, quiet, louder
chat completion, completion < gpt, ask the model, ai answer
embedding < vector, vectors, semantic
moderation < offensive, hateful, harmful, toxic
fine tune, train < train a model, teach
model, engine < language model, ai model, llm
topic, post, thread < forum thread, forum
latest, recent < lately, newest, right now, new, last
recent, history < this morning, yesterday
category, section < area, topic area
backup < back up, safety copy
recipe < dish, cook, meal, dinner, food
ingredient, substitute < instead of, replacement
meal plan, meal < plan my meals
nutrient, nutrition < calories, calorie, healthy
shopping list < grocery list, groceries
amount, convert < grams, cup, how many grams
wine pairing, wine < goes with
extract, analyze < get out of, out of this
exec < shell, run a command, inside
stats, metrics < memory, cpu usage, eats
prune, cleanup < free up, unused, disk space
pull, create, image < download an image
network, connect < hook up
deployment, deploy < roll out, rollout, release
scale, replicas < more replicas, grow, instances
node, machine < machines, server, host, servers
cron job, schedule < every night, nightly, periodically
ingress, service < expose
autoscaler, scale < automatically add
config map, config < configuration
transaction, payment < spent, paid, expense, purchase
budget, month, category < put aside, budget
journey, route, trip < how do i get, directions, travel, way to
line, status, disruption < delay, delays, tube, late, on time
arrival, departure < next bus, next train, leave, when does
bike, point < rent a bike, bicycle, cycle hire
air quality < how bad is the air, pollution, smog
road, disruption < closed road, roads, traffic jam
gif < animation, funny picture
identity, verification < passport, who they claim, id check
tax < vat, sales tax
terminal, reader < card reader, point of sale, shop
connect, account < seller, marketplace, onboard
issuing, card < company card, virtual card
schedule, scheduled < later, tomorrow, plan, planned, waiting to go out, in advance
link, permalink, url < address, link to
view, modal, dialog < popup, pop up, form
profile, user < about me, bio, status
team, workspace < our slack
uncollectible, invoice < write off, bad debt
trigger, alert, usage < warn me, warn
absentee, absent < did not show up, no show, missed
quota, rate, limit < left, remaining
rename, update, name < different name, new name, call it
create, add, insert, new < come up with, put together, compose, assemble, design, compile, raise, introduce, initiate, construct, form, found, initialize, draw up, make up, write up, type up, start up, put in, put down, jot down, note down, set down, bring up, spin up, provision, fresh, additional
create, schedule < arrange, organize, plan, set a date, pencil in, line up
create, order, purchase < buy, procure, acquire, obtain
create, request < ask for, apply for, call for
delete, remove < dispose of, strip, scrap, dump, toss, ditch, eliminate, tear down, pull down, rip out, wipe out, do away with, take off, take out, clean out, deregister
delete, clear, empty < flush, blank, wipe, clean
delete, purge, prune < clean up, tidy up, sweep
cancel, stop, end, terminate < break off, cut short, wind up, put an end to, finish, wrap up, call it off, quit, back out
update, edit, modify, change < amend, tweak, rework, rewrite, refresh, improve, overwrite, adapt, redo, tune, reword, adjust, increase, decrease, raise, lower, reduce, extend, shorten, touch up
update, set, replace < swap, substitute, exchange, switch to, override
update, name, rename < retitle, relabel
update, move < relocate, shift, drag, postpone, delay, bring forward
complete, close, resolve < settle, finish off, done with, wrap up
list, get < enumerate, pull up, bring up, go through, run through, are there, do we have, exist
get, details, retrieve < pull up, inspect, look into, examine, information, tell me about
search, find, query < dig up, track down, come across, explore, browse, scan, filter, containing, matching, mention
send, post, message < drop a line, ping, inform, contact, pass along, reach out, broadcast, get in touch
invite, add, member < bring on board, bring in, recruit, let in
remove, kick, member < boot, expel, oust, exclude, throw out
leave < step out, exit, get out of, walk out
join < enter, take part, become a member
assign, owner < put in charge, responsible, hand to, hand off, allocate, delegate
share, permission, access < open up to, publish to, give rights, visible to
permission, role, access, grant < rights, privilege, allowed, entitlement
revoke, remove < take away, withdraw, cut off
enable, activate, start < turn on, switch on, put on, resume, reactivate
disable, deactivate, stop < turn off, switch off, shut off, put off
start, begin, run, resume < get going, power on, set off, carry on, continue, unpause
stop, pause, halt < hold, suspend, freeze, power off, take a break
restart, reboot, rerun < bounce, start again, try again, relaunch, run again, once more
approve, accept, confirm < okay, go ahead, let through, authorise
reject, decline, deny, dismiss < turn away, say no, veto, refuse
download, export, get < grab, save a copy, get a copy, fetch a copy
upload, import, create, insert < bring in, load, put up, ship
copy, duplicate, clone < replicate, another one, identical
compare, diff < differ, difference, versus
merge, combine < consolidate, bring together, integrate
split, separate < break up, break down, divide
archive, close < retire, shelve, file away, put away
restore, recover, unarchive, untrash < get back, bring back, rescue, revive, undo, reinstate
lock, protect, restrict < secure, prevent, freeze
unlock < open again, free, release
block, ban, suspend < keep out, bar, shut out, exclude, banish
mute, silence, snooze < hush, quiet, quieten
report, flag, abuse < complain, denounce
follow, subscribe, watch < keep up with, track, keep an eye on
unfollow, unsubscribe < stop following, opt out
webhook, watch, subscription, notification < let me know when, whenever, each time, as soon as, callback
trigger, dispatch, run, execute < set off, fire off, kick off, launch, invoke
validate, verify, check < double check, ensure, prove, make sure
reorder, sort, move < arrange, rearrange, rank
attach, attachment, add < enclose, include
pin, star, bookmark, favorite < keep at the top, highlight
tag, label, category < categorize, classify, sort into
calculate, compute, estimate, calculation < work out, figure out, add up, determine
forecast, predict < outlook, expect
preview, upcoming < next, in advance
sync, update, refresh < bring up to date, up to date, catch up
payment, charge < purchase, sale, money
capture, payment < collect, settle
refund < money back, reimburse, repay, pay back
balance < funds, how much money, cash
payout, transfer < withdraw, cash out, deposit, wire, bank transfer
invoice, bill < receipt, statement
unpaid, overdue, open, status < outstanding, owe, owed, past due, due
uncollectible, void < write off, bad debt
subscription, plan < recurring, monthly, yearly, tier
trial < free period
coupon, discount, promotion < voucher, deal, rebate, special offer
checkout, session < cart, basket, payment page
price, amount, cost, rate < fee, pricing, tariff, expensive
product, item < goods, article, merchandise
dispute, chargeback < contest, complaint
evidence < proof
card, payment method < credit card, debit card, bank card
customer, client < buyer, shopper, patron, consumer
account, merchant, connect < seller, vendor, supplier, marketplace
issuing, card < corporate card, company card, virtual card
identity, verification < passport, id card, driving licence
quote, estimate < offer, proposal
fraud, radar < scam, suspicious
expense, transaction < spending, spent, outgoings, paid
user, member, people < who, anyone, somebody, everyone, staff, teammate, colleague, coworker, person, employee, folks
presence, status < online, away, available, busy, offline, reachable
contact, person < address book, phone book, acquaintance, friend
group, team < department, squad, crew, committee
channel, conversation < room, chat room, space
message, chat < text, note, dm
sms, message, text < text message
history, message < backlog, log, past
thread, reply, conversation < discussion, responses
call, phone < ring, dial, telephone, phone up, call up, give a ring
end, hangup, complete, call < hang up
voicemail < answering machine, voice message
meeting, event < appointment, session, get together, call
webinar < seminar, online seminar, online event
recording < tape, recorded, footage
transcript, transcription < text of, written version, write down
poll, survey, question < quiz, vote
registrant, participant, attendee < signed up, guest, visitor, attended
panelist, speaker < presenter
email, message, mail < mail, e mail, letter, correspondence
inbox, mailbox, message < mail, unread
draft < unsent, not send, not yet sent
attachment < attached file, enclosed
label, folder < mailbox folder
filter, rule < automatically, sort automatically
vacation, auto reply < out of office, on leave, away message
forward, forwarding < pass on, redirect, send on
delegate, assistant < on my behalf, secretary
trash, delete < bin, rubbish, recycle bin, junk
notification, alert < heads up, nudge
reminder < remind, remember
reaction, emoji < smiley, thumbs up
dnd, disturb, snooze < quiet, focus
modal, dialog, view < popup, pop up, window
logout, session, revoke < log out, sign out, log off
login, session, authentication < log in, sign in
secret, password, credential, token < passphrase, api key
topic, post, thread < discussion, board
latest, recent < newest, lately, recently, last, right now, current
event, calendar < agenda, schedule, diary, planner, appointments
freebusy, availability < free time, open slot, both free
acl, permission, share < who can see, access
instance, recurring < occurrence, repeated, series
past, history < yesterday, earlier, previous, last week
upcoming, scheduled < coming up, soon, ahead, tomorrow
file, document < paper, doc, pdf
folder, directory < subfolder
revision, version < earlier, previous, older
comment, note < remark, feedback, annotation
storage, quota, usage < space, disk space, room left
spreadsheet, sheet < excel, workbook, table, tab
value, range, cell < column, row, cells
row, append, value < line
block, paragraph, children < bullet
property, field < column, attribute
form, survey < questionnaire
response, answer < replies, results, answered
template < boilerplate, standard, blueprint
report, summary, statistic < overview, digest, figures
image < photo, picture, drawing, avatar, icon, illustration
generation, image, create < draw, paint, sketch
thumbnail < cover, preview picture
caption < subtitle
completion, chat < gpt, chatgpt, llm, prompt
embedding < vector, semantic
moderation < offensive, hateful, harmful, inappropriate
sentiment < mood, tone
task < to do, todo, action item, chore, duty
complete, task < tick off, check off, done
dependency, dependent < blocked, waiting for, until
story, comment < remark, comment
section, column < lane, stage
goal, objective < target, okr
milestone < phase
time entry, time < hours, timesheet
leave, absence < sick, holiday, time off
candidate, applicant < cv, resume
deal, opportunity, lead < prospect
ticket, case, issue < support request, problem
issue < bug, problem, defect, error, crash
pull, pull request < pr, merge request, proposed change
review, pull < look over, code review
ref, branch < line of work
commit < change, revision
status, check < passing, failing, green
repository < codebase, repo, project
content, file < source, contents
release < version, cut, ship
asset < binary, artifact
collaborator < contractor, outside, guest
contributor < contributed, committer
workflow, action, run < ci, pipeline, build
artifact < build output, output
runner < build machine, agent
alert, vulnerability, dependabot < security hole, cve, insecure
secret scanning < leaked, exposed
code scanning, analysis < static analysis, findings
gist < snippet
hook, webhook < callback
traffic, view < visitors, visited, hits
codespace < dev environment, development environment
rate limit < quota, requests left
license < licence
page, site < website, web site
container < process
exec < shell, terminal, command
image, pull < fetch an image
stats < resource usage, memory, cpu
scale, replica < copies, instances
deployment < rollout, roll out
node < machine, host, server
cron job < nightly, every night, periodically, scheduled job
ingress < expose, public
autoscaler, autoscaling < automatically add, scale automatically
config map < configuration
backup, snapshot < safety copy, dump, back up
incident, alert < outage
playback, play < listen, music, put on
pause, playback < stop, hold
next, skip < forward
volume, playback < loud, quiet, turn up, turn down
shuffle, playback < random, mix
device < speaker
track, song < music, tune
artist < band, singer, musician
recently played, history < listened
top < favourite, most, best
related, similar < like, sound like
video < clip, film
statistic, view < how many views
broadcast, live < stream, go live, livestream
gif < animation, funny, meme
trending, popular < hot, popular
recipe < dish, cook, meal, dinner, lunch, breakfast, cooking
nutrition, calorie < healthy, calories, diet
pairing < goes with
substitute < instead of, replacement
convert, amount < grams, cups, ounces, units
extract < get out of, out of
shopping list < groceries, grocery list
journey, route, direction < travel, trip, way to, get from
disruption, status, line < delay, delays, late
arrival, departure < next bus, next train, leave
bike < bicycle, cycle
air quality < pollution, smog
nearby, location, place < near me, close by, around here
weather, forecast < rain, sunny, temperature
shipment, tracking, delivery < parcel
currency, exchange rate < dollars, euros
`;
