# A web server of one page: the service that a deploy restarts. Its argument is the status.
use strict;
use IO::Socket::INET;
my ($port, $status, $text) = @ARGV;
my $server = IO::Socket::INET->new(
    LocalAddr => '127.0.0.1', LocalPort => $port, Listen => 16, ReuseAddr => 1)
    or die "web: port $port: $!\n";
while (my $client = $server->accept) {
    my $request = <$client>;
    while (defined(my $line = <$client>)) { last if $line =~ /^\r?\n$/; }
    print $client "HTTP/1.1 $status\r\nContent-Length: " . length($text)
        . "\r\nConnection: close\r\n\r\n$text";
    close $client;
}
