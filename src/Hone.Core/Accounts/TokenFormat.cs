using System.Security.Cryptography;
using System.Text;

namespace Hone.Core.Accounts;

/// <summary>
/// The form of a secret: <c>hone_</c>, 40 random base-62 characters (238 bits), and the CRC-32 of what stands before as 6 base-62 characters.
/// The sum tells a mistyped or cut secret from an unknown one without asking the database.
/// </summary>
public static class TokenFormat
{
    public const string Prefix = "hone_";
    public const int RandomLength = 40;
    public const int SumLength = 6;
    public const int Length = 5 + RandomLength + SumLength;
    private const string Alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

    public static string Create()
    {
        string head = Prefix + RandomNumberGenerator.GetString(Alphabet, RandomLength);
        return head + Sum(head);
    }

    /// <summary>Right length, prefix, characters and sum. Says nothing about whether the secret is known.</summary>
    public static bool IsWellFormed(string? secret)
    {
        if (secret is null || secret.Length != Length || !secret.StartsWith(Prefix, StringComparison.Ordinal))
            return false;
        foreach (char c in secret.AsSpan(Prefix.Length))
        {
            if (!char.IsAsciiLetterOrDigit(c))
                return false;
        }
        return secret.AsSpan(Length - SumLength).SequenceEqual(Sum(secret.AsSpan(0, Length - SumLength)));
    }

    /// <summary>SHA-256 of the secret's text: what is stored and looked up.</summary>
    public static byte[] Hash(string secret) => SHA256.HashData(Encoding.ASCII.GetBytes(secret));

    /// <summary>What may be shown of a secret.</summary>
    public static string Shown(string secret) => secret[..(Prefix.Length + 4)];

    private static string Sum(ReadOnlySpan<char> head)
    {
        uint crc = ~0u;
        foreach (char c in head)
        {
            crc ^= c;
            for (int bit = 0; bit < 8; bit++)
                crc = (crc >> 1) ^ (0xEDB88320u & (0u - (crc & 1)));
        }
        crc = ~crc;
        Span<char> text = stackalloc char[SumLength];
        for (int i = SumLength - 1; i >= 0; i--, crc /= 62)
            text[i] = Alphabet[(int)(crc % 62)];
        return new string(text);
    }
}
