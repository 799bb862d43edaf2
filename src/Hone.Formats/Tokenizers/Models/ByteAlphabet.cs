using System.Text;

namespace Hone.Formats.Tokenizers;

/// <summary>GPT-2's printable stand-ins for the 256 bytes: a byte that prints in Latin-1 stands for itself, the others are U+0100 and on.</summary>
internal static class ByteAlphabet
{
    private static readonly char[] Characters = MakeCharacters();
    private static readonly short[] Bytes = MakeBytes();

    public static char CharacterOf(byte value) => Characters[value];

    /// <summary>The bytes that a token of the vocabulary stands for: its own UTF-8 when a character is outside the alphabet.</summary>
    public static byte[] BytesOf(string token)
    {
        var bytes = new byte[token.Length];
        for (int i = 0; i < token.Length; i++)
        {
            if (token[i] >= Bytes.Length || Bytes[token[i]] < 0)
                return Encoding.UTF8.GetBytes(token);
            bytes[i] = (byte)Bytes[token[i]];
        }
        return bytes;
    }

    private static char[] MakeCharacters()
    {
        var characters = new char[256];
        int others = 256;
        for (int b = 0; b < 256; b++)
            characters[b] = (char)(b is (>= 0x21 and <= 0x7E) or (>= 0xA1 and <= 0xAC) or >= 0xAE ? b : others++);
        return characters;
    }

    private static short[] MakeBytes()
    {
        var bytes = new short[Characters.Max() + 1];
        Array.Fill(bytes, (short)-1);
        for (int b = 0; b < 256; b++)
            bytes[Characters[b]] = (short)b;
        return bytes;
    }
}
