<?php
/*
 * Takes call events from ami-bridge, signed as Standard Webhooks says, form or JSON.
 *
 * Put it behind your web server, and the secret where only PHP can read it. To try it:
 *   AMI_BRIDGE_SIGNING_SECRET=whsec_... CALLS_FOLDER=/tmp/calls php -S 127.0.0.1:8080 receiver.php
 */

const TOLERANCE_SECONDS = 300;

$secrets = preg_split('/\s+/', trim((string) getenv('AMI_BRIDGE_SIGNING_SECRET')));
$folder = getenv('CALLS_FOLDER') ?: __DIR__ . '/calls';

/** Says whether a request is from the bridge, unchanged, and not a copy of an old one. */
function is_ours(array $secrets, string $id, string $timestamp, string $signatures, string $body): bool
{
    if (!ctype_digit($timestamp) || abs(time() - (int) $timestamp) > TOLERANCE_SECONDS) {
        return false;
    }
    foreach ($secrets as $secret) {
        // The key is what follows whsec_. Without one, nothing is ours.
        $key = str_starts_with($secret, 'whsec_') ? base64_decode(substr($secret, 6), true) : false;
        if ($key === false || strlen($key) < 24) {
            continue;
        }
        $expected = 'v1,' . base64_encode(hash_hmac('sha256', "$id.$timestamp.$body", $key, true));
        // While a secret is being changed there are several signatures; one that fits is enough.
        foreach (explode(' ', $signatures) as $signature) {
            if (hash_equals($expected, $signature)) {
                return true;
            }
        }
    }
    return false;
}

function answer(int $status): never
{
    http_response_code($status);
    exit;
}

if ($_SERVER['REQUEST_METHOD'] !== 'POST') {
    answer(405);
}
$id = $_SERVER['HTTP_WEBHOOK_ID'] ?? '';
$timestamp = $_SERVER['HTTP_WEBHOOK_TIMESTAMP'] ?? '';
$signatures = $_SERVER['HTTP_WEBHOOK_SIGNATURE'] ?? '';
// The octets as they came: what PHP makes of them in $_POST is not what was signed.
$body = (string) file_get_contents('php://input');
if (!is_ours($secrets, $id, $timestamp, $signatures, $body) || !preg_match('/^[\w-]{1,64}$/D', $id)) {
    answer(401);
}
$is_json = str_starts_with($_SERVER['CONTENT_TYPE'] ?? '', 'application/json');
$call = $is_json ? json_decode($body, true) : $_POST;
if (!is_array($call) || !isset($call['CallID'])) {
    answer(400);
}

// One file a notification, named by its id, which appears whole or not at all. An application
// with a database has a table with the id as its key instead, and does the same by INSERT.
is_dir($folder) || mkdir($folder, 0700, true);
$draft = tempnam($folder, 'new');
$text = json_encode($call, JSON_UNESCAPED_UNICODE | JSON_PRETTY_PRINT | JSON_THROW_ON_ERROR);
if ($draft === false || file_put_contents($draft, $text) !== strlen($text)) {
    answer(500); // the bridge comes again
}
// What came before is a repetition: link() does not replace it, and the answer is the same.
$kept = @link($draft, "$folder/$id.json") || is_file("$folder/$id.json");
unlink($draft);
answer($kept ? 204 : 500);
