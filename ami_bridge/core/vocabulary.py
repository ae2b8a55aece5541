"""
What Asterisk says of its own accord: the words and headers in which nobody is recognised.

`anonymise` leaves these alone and replaces everything else, so a word that is missing here
makes an anonymised recording a little harder to read, and a word too many can only show
that it was said. Applications and headers are those of Asterisk's own documentation.
"""

_TECHNOLOGIES = """
    PJSIP SIP IAX2 IAX DAHDI Zap SCCP Skinny H323 OOH323 MGCP UniStim Console Phone mISDN Motif
    Jingle XMPP Dongle Quectel Khomp Woomera Vpb Capi Agent USTM AudioSocket WebSocket
    UnicastRTP MulticastRTP Snoop Message Surrogate AsyncGoto Recorder ConfBridge
    ConfBridgeRecorder Announcer CBAnn CBRec Bridge Parked Transfered Masq OutgoingSpoolFailed
    Test
"""

_APPLICATIONS = """
    AddQueueMember ADSIProg AELSub AgentLogin AgentRequest AGI AlarmReceiver AMD Answer AppDial
    AppDial2 AppQueue AttendedTransfer AudioSocket Authenticate BackGround BackgroundDetect
    BlindTransfer Bridge BridgeAdd BridgeWait Broadcast Busy CELGenUserEvent ChangeMonitor
    ChanIsAvail ChannelRedirect ChanSpy ClearHash ConfBridge ConfKick Congestion ContinueWhile
    ControlPlayback DateTime DBdeltree DeadAGI Dial Dictate Directory DISA DumpChan EAGI Echo
    Else ElseIf EndIf EndWhile Exec ExecIf ExecIfTime ExitIf ExitWhile ExtenSpy ExternalIVR
    FastAGI Festival Flash FollowMe ForkCDR Gosub GosubIf Goto GotoIf GotoIfTime Hangup
    HangupCauseClear If ImportVar Incomplete Log Macro MacroExclusive MacroExit MacroIf
    MailboxExists MeetMe MessageSend Milliwatt MixMonitor Monitor MSet MusicOnHold NoCDR NoOp
    Originate Page Park ParkAndAnnounce ParkedCall PauseMonitor PauseQueueMember Pickup
    PickupChan Playback PlayTones PrivacyManager Proceeding Progress Queue QueueLog QueueUpdate
    RaiseException Read ReadExten ReceiveFAX Record Reload RemoveQueueMember ResetCDR RetryDial
    Return Ringing SayAlpha SayDigits SayNumber SayPhonetic SayUnixTime SendDTMF SendFAX
    SendText Set SetAMAFlags SIPAddHeader SIPRemoveHeader SoftHangup StackPop StartMusicOnHold
    Stasis StopMixMonitor StopMonitor StopMusicOnHold StopPlayTones StreamEcho System Transfer
    TryExec TrySystem UnpauseMonitor UnpauseQueueMember UserEvent Verbose VMAuthenticate
    VoiceMail VoiceMailMain Wait WaitDigit WaitExten WaitForNoise WaitForRing WaitForSilence
    WaitUntil While
"""

#: Of states, causes, answers to actions, the dialplan and what telephones are called.
_WORDS = """
    accepted accountcode action active agents alaw all allocated already am ami an and announce
    announcement anonymous answered any aor aors app application april ari arpa as asterisk
    august auth authentication autodestruct available backslash bad basic be begin being
    blindxfer bridgedetected bridges bridging by call called caller callerid callid callidchange
    calls cancel canceled cancelled cause cdr cel chan channel channels chanunavail chanvariable
    character cid cidname cidnum clear clearing client closed codec com command complete conf
    conference config conn connected connecting connection contact contacts context core data db
    de december default delay deskphone destination destroyed destroying dev device did
    disconnected do domain down dtmf duration elsewhere empty en end endpoint endpoints entry
    eof error es escape event events example ext exten extension extensions extstate failed
    failure false fax feature february file filter first follow follows for foreign forward
    found fr free fri from full fully gateway gb global gmt group gsm gw handler hdr header hint
    hold host http https id idle in inbound incoming info initialised internal interworking
    inuse invalid invalidargs invite ipv is it ivr january july june key keypad lan language
    last len length line list listed listener listing listitems local localhost logged login
    loop mailbox manager march max may media member members min missing mobile mode mon music
    name nat net network new next nl no noanswer node none nonexistent normal not notice
    notinuse november null number october off ok on onhold only ooh option options or org out
    outbound outgoing output parking party path paused pbx peer peeraccount peers permission
    ping playing pm pong port presentation presented primary prio priority priv private
    privilege prompt provider proxy pt queued queues rdnis reason recording redirect registered
    registry rejected remote request res response restart restricted result ring ringinuse rtcp
    rtp rtpqos ru running sat secondary sent september server service ses session setvar sips
    slin softphone sounds source spec specified start started state statechange status stop
    stopped string subscriber success successful successfully sun tag tcp tel thanks the thu
    time timeout tls to transport true trunk trying tue type udp ulaw unable unallocated
    unassigned unauthorized unavailable undef unknown unmonitored unreachable unregistered up
    uri us user using utc vm voice wav webrtc wed will with withheld ws wss xfer yes zombie
"""

_IN_NAMES = "anonymous asterisk private restricted trunk unavailable unknown withheld"

_HEADERS = """
    event privilege timestamp eventtv sessiontv eventtime eventversion severity
    priority language amaflags answertime starttime endtime duration billableseconds disposition
    cause cause-txt techcause cid-callingpres state status count position originalposition
    uptime lastreload application lastapplication appline appfile appfunction subevent
    bridgestate bridgetype dialstatus devicestate channeltype mode transfermethod
    transfertype isexternal desttype destapp result success localoptimization
    loginchan strategy max calls holdtime talktime ringtime waiting weight completed abandoned
    servicelevel servicelevelperf servicelevelperf2 penalty callstaken lastcall lastpause
    logintime incall paused ringinuse wrapuptime membership wait listitems eventlist items total
    parkingduration parkingtimeout seconds timetohangup readformat writeformat readtrans
    writetrans nativeformats callgroup pickupgroup amiversion asteriskversion coremaxcalls
    coremaxloadavg corerunuser corerungroup coremaxfilehandles corerealtimeenabled
    corecdrenabled corehttpenabled corestartupdate corestartuptime corereloaddate corereloadtime
    corecurrentcalls coreprocessedcalls ping usingpassword shutdown restart muted admin marked
    markeduser talking talkingstatus old new originalstate clonestate durationms direction begin
    end rtt ssrc pt reportcount sentntp sentrtp sentpackets sentoctets packetslost fractionlost
    iajitter dlsr lsr mes
"""

#: Channel technologies, and the makers of channels that are no party.
TECHNOLOGIES = tuple(_TECHNOLOGIES.split())

#: Words (in small letters) that may stand in any value but a name.
VOCABULARY = frozenset(f"{_TECHNOLOGIES} {_APPLICATIONS} {_WORDS} {_IN_NAMES}".lower().split())

#: Words that a name may consist of without being one.
HARMLESS_IN_NAMES = frozenset(_IN_NAMES.split())

#: Headers (in small letters) whose values are Asterisk's own facts, whatever they are.
HARMLESS_HEADERS = frozenset(_HEADERS.split())

#: Ends of names of headers, behind whatever prefix (``Dest``, ``LocalOne``, ...), likewise.
HARMLESS_ENDINGS = (
    "channelstate",
    "channelstatedesc",
    "priority",
    "language",
    "bridgetype",
    "bridgetechnology",
    "bridgecreator",
    "bridgenumchannels",
    "bridgevideosourcemode",
)
