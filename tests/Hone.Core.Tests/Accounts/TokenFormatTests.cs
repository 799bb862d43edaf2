using Hone.Core.Accounts;

namespace Hone.Core.Tests.Accounts;

public sealed class TokenFormatTests
{
    [Fact]
    public void Create_Many_WellFormedAndDifferent()
    {
        HashSet<string> secrets = [.. Enumerable.Range(0, 1000).Select(_ => TokenFormat.Create())];
        Assert.Equal(1000, secrets.Count);
        Assert.All(secrets, s =>
        {
            Assert.Matches("^hone_[0-9A-Za-z]{46}$", s);
            Assert.True(TokenFormat.IsWellFormed(s));
        });
    }

    [Fact]
    public void IsWellFormed_AnyOneCharacterChanged_False()
    {
        string secret = TokenFormat.Create();
        for (int i = 0; i < secret.Length; i++)
        {
            char[] changed = secret.ToCharArray();
            changed[i] = changed[i] == 'a' ? 'b' : 'a';
            Assert.False(TokenFormat.IsWellFormed(new string(changed)));
        }
    }

    // The sum is the standard CRC-32: of "hone_" and forty zeros it is 3835038584, computed elsewhere.
    [Fact]
    public void IsWellFormed_KnownSum_True() => Assert.True(TokenFormat.IsWellFormed("hone_" + new string('0', 40) + "4BXQj2"));

    [Theory]
    [InlineData(null)]
    [InlineData("")]
    [InlineData("hone_")]
    [InlineData("v1.0-e24fd090c02efcfecb4de8f4ff246fd5c75b48946fdf0ce26c59f91d0d90797b")]
    public void IsWellFormed_OtherText_False(string? text) => Assert.False(TokenFormat.IsWellFormed(text));

    [Fact]
    public void IsWellFormed_TooLong_False() => Assert.False(TokenFormat.IsWellFormed(TokenFormat.Create() + "0"));
}
