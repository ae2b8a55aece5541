"""
What Asterisk says of its own accord: the words and headers in which nobody is recognised.

`anonymise` leaves these alone and replaces everything else, so a word that is missing here
makes an anonymised recording a little harder to read, and a word too many can only show
that it was said. Applications and headers are those of Asterisk's own documentation.
"""

#: Channel technologies, and the makers of channels that are no party.
TECHNOLOGIES = tuple(
    """
    PJSIP SIP IAX2 IAX DAHDI Zap SCCP Skinny H323 OOH323 MGCP UniStim Console Phone mISDN Motif
    Jingle XMPP Dongle Quectel Khomp Woomera Vpb Capi Agent USTM AudioSocket WebSocket
    UnicastRTP MulticastRTP Snoop Message Surrogate AsyncGoto Recorder ConfBridge ConfBridgeRecorder
    Announcer CBAnn CBRec Bridge Parked Transfered Masq OutgoingSpoolFailed Test
    """.split()
)

_APPLICATIONS = """
    AddQueueMember ADSIProg AELSub AgentLogin AgentRequest AGI AlarmReceiver AMD Answer AppDial AppDial2
    AppQueue AttendedTransfer AudioSocket Authenticate BackGround BackgroundDetect BlindTransfer Bridge BridgeAdd
    BridgeWait Broadcast Busy CELGenUserEvent ChangeMonitor ChanIsAvail ChannelRedirect ChanSpy
    ClearHash ConfBridge ConfKick Congestion ContinueWhile ControlPlayback DateTime DBdeltree DeadAGI
    Dial Dictate Directory DISA DumpChan EAGI Echo Else ElseIf EndIf EndWhile Exec ExecIf ExecIfTime ExitIf
    ExitWhile ExtenSpy ExternalIVR FastAGI Festival Flash FollowMe ForkCDR Gosub GosubIf Goto GotoIf
    GotoIfTime Hangup HangupCauseClear If ImportVar Incomplete Log Macro MacroExclusive MacroExit
    MacroIf MailboxExists MeetMe MessageSend Milliwatt MixMonitor Monitor MSet MusicOnHold NoCDR
    NoOp Originate Page Park ParkAndAnnounce ParkedCall PauseMonitor PauseQueueMember Pickup
    PickupChan Playback PlayTones PrivacyManager Proceeding Progress Queue QueueLog QueueUpdate
    RaiseException Read ReadExten ReceiveFAX Record Reload RemoveQueueMember ResetCDR RetryDial
    Return Ringing SayAlpha SayDigits SayNumber SayPhonetic SayUnixTime SendDTMF SendFAX SendText
    Set SetAMAFlags SIPAddHeader SIPRemoveHeader SoftHangup StackPop StartMusicOnHold Stasis
    StopMixMonitor StopMonitor StopMusicOnHold StopPlayTones StreamEcho System Transfer TryExec
    TrySystem UnpauseMonitor UnpauseQueueMember UserEvent Verbose VMAuthenticate VoiceMail
    VoiceMailMain Wait WaitDigit WaitExten WaitForNoise WaitForRing WaitForSilence WaitUntil While
"""

_WORDS = """
    accepted accountcode action active agent agents alaw all already an and answer answered anonymous
    any aor aors app application as asterisk auth authentication available bad basic be begin being
    bridge bridges bridging busy by call called caller callerid callid calls cancel canceled
    cancelled cause chan channel channels character clear clearing client closed codec command
    complete conf conference config congestion connected connection contact contacts context core
    cid cidname cidnum connecting
    data db default delay deskphone destination device dev did disconnected do domain down dtmf duration
    elsewhere empty end endpoint endpoints entry error escape event events ext exten extension
    extensions extstate failed failure fax feature file filter first follow follows for foreign
    found free from full fully gateway global group gsm gw handler header hint hold host http https
    id idle in inbound incoming info initialised internal invalid inuse in interworking invite ipv is
    ivr key keypad language last len length line list listing listener listitems listed ivr local
    localhost logged login loop macro mailbox manager max media meetme member members message min
    missing mobile mode monitor music name network new next no noanswer node none normal not notice null number
    nat off ok on onhold only option options or originate out outbound outgoing output ooh parked
    parking party path paused pbx peer peeraccount peers permission phone pickup ping pjsip playing
    pong port presentation presented primary prio priority private privilege prompt provider proxy
    queue queued queues reason recording redirect registered registry rejected reload remote
    request res response restart restricted result ring ringing ringinuse rtp rtcp
    running secondary sent server service session setvar sip sips slin softphone sounds source spec
    specified start started state status stop stopped string subscriber success successful
    successfully tag tcp tel thanks the time timeout tls to transfer transport trunk trying type udp
    ulaw unable unallocated unassigned unavailable unauthorized unknown unmonitored unreachable
    unregistered up uri user using vm voice voicemail wait wav wait webrtc will with withheld wss ws
    yes zombie
    autodestruct backslash bad blindxfer chanunavail conn eof false forward gosub hangup hdr hint
    inuse invalidargs nonexistent notinuse number peer priv rdnis rtpqos ses true undef xfer
    session destroying destroyed allocated statechange bridgedetected callidchange
    announce announcement agi ami ari cdr cel
    en us gb fr de es it nl pt ru
    com net org invalid example lan arpa
    january february march april may june july august september october november december
    mon tue wed thu fri sat sun am pm utc gmt
"""

#: Words (in small letters) that may stand in any value but a name.
VOCABULARY = frozenset(f"{' '.join(TECHNOLOGIES)} {_APPLICATIONS} {_WORDS}".lower().split())

#: Words that a name may consist of without being one.
HARMLESS_IN_NAMES = frozenset(
    "anonymous asterisk private restricted trunk unavailable unknown withheld".split()
)

#: Headers (in small letters) whose values are Asterisk's own facts, whatever they are.
HARMLESS_HEADERS = frozenset(
    """
    event privilege systemname timestamp eventtv sessiontv eventtime eventversion severity
    priority language amaflags answertime starttime endtime duration billableseconds disposition
    cause cause-txt techcause cid-callingpres state status reason class count position
    originalposition uptime lastreload application lastapplication appline appfile appfunction
    subevent bridgestate bridgetype dialstatus devicestate channeltype musicclass mode
    transfermethod transfertype isexternal desttype destapp result success localoptimization
    swapuniqueid loginchan strategy max calls holdtime talktime ringtime waiting weight
    completed abandoned servicelevel servicelevelperf servicelevelperf2 penalty callstaken
    lastcall lastpause logintime incall paused ringinuse wrapuptime membership wait
    listitems eventlist items total parkingduration parkingtimeout seconds timetohangup
    readformat writeformat readtrans writetrans nativeformats callgroup pickupgroup
    amiversion asteriskversion coremaxcalls coremaxloadavg corerunuser corerungroup
    coremaxfilehandles corerealtimeenabled corecdrenabled corehttpenabled corestartupdate
    corestartuptime corereloaddate corereloadtime corecurrentcalls coreprocessedcalls
    ping usingpassword shutdown restart muted admin marked markeduser talking talkingstatus old new
    originalstate clonestate durationms direction begin end
    rtt ssrc pt reportcount sentntp sentrtp sentpackets sentoctets packetslost fractionlost
    iajitter dlsr lsr mes
    """.split()
)

#: Ends of names of headers, behind whatever prefix (``Dest``, ``LocalOne``, ...), likewise.
HARMLESS_ENDINGS = (
    "uniqueid",
    "linkedid",
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
