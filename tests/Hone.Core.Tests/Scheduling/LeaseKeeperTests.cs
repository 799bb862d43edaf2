using Hone.Core.Scheduling;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;

namespace Hone.Core.Tests.Scheduling;

public sealed class LeaseKeeperTests
{
    private static readonly WorkerSettings Settings = new() { DataFolder = "/nowhere" };
    private readonly SignallingClock _clock = new();

    private static CancellationToken Now => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Keeper_RenewalsSucceed_OutlivesTheLimit()
    {
        var renewed = new SemaphoreSlim(0);
        await using var lease = Keep(_ => Answer(renewed, LeaseEnd.None));

        for (int i = 0; i < 10; i++)
        {
            _clock.Advance(Settings.RenewEvery);
            await renewed.WaitAsync(Now);
            await SettledAsync();
        }

        Assert.Equal(LeaseEnd.None, lease.Reason);
    }

    [Fact]
    public async Task Keeper_RenewalHangs_ExpiresOnItsOwnClockBeforeTheLease()
    {
        var asked = new SemaphoreSlim(0);
        await using var lease = Keep(async token =>
        {
            asked.Release();
            await Task.Delay(Timeout.Infinite, token);
            return LeaseEnd.None;
        });

        _clock.Advance(Settings.RenewEvery);
        await asked.WaitAsync(Now);
        _clock.Advance(TimeSpan.FromSeconds(9.9));
        Assert.Equal(LeaseEnd.None, lease.Reason);
        _clock.Advance(TimeSpan.FromSeconds(0.1));

        Assert.Equal(LeaseEnd.Expired, lease.Reason);
        Assert.True(lease.Ended.IsCancellationRequested);
    }

    [Fact]
    public async Task Keeper_ClaimTookLong_CountsFromBeforeTheClaim()
    {
        long claimedAt = _clock.GetTimestamp();
        _clock.Advance(TimeSpan.FromSeconds(15));
        await using var lease = new LeaseKeeper(token => Task.Delay(Timeout.Infinite, token).ContinueWith(_ => LeaseEnd.None, TaskScheduler.Default), claimedAt, Settings, NullLogger.Instance, _clock);

        _clock.Advance(TimeSpan.FromSeconds(5));

        Assert.Equal(LeaseEnd.Expired, lease.Reason);
    }

    [Fact]
    public async Task Keeper_RenewalFails_IsTriedAgainEachSecond()
    {
        var asked = new SemaphoreSlim(0);
        int calls = 0;
        await using var lease = Keep(_ =>
        {
            asked.Release();
            return ++calls < 3 ? throw new IOException("disk") : Task.FromResult(LeaseEnd.None);
        });
        _clock.Advance(Settings.RenewEvery);
        await asked.WaitAsync(Now);
        for (int i = 0; i < 2; i++)
        {
            await SettledAsync();
            _clock.Advance(TimeSpan.FromSeconds(1));
            await asked.WaitAsync(Now);
        }
        await SettledAsync();

        _clock.Advance(TimeSpan.FromSeconds(9));

        Assert.Equal(LeaseEnd.None, lease.Reason);
    }

    [Theory]
    [InlineData(LeaseEnd.Lost)]
    [InlineData(LeaseEnd.CancelRequested)]
    public async Task Keeper_StoreSaysEnd_EndsWithThatReasonAndKeepsIt(object said)
    {
        await using var lease = Keep(_ => Task.FromResult((LeaseEnd)said));
        var ended = new TaskCompletionSource();
        await using CancellationTokenRegistration registration = lease.Ended.Register(ended.SetResult);

        lease.RenewNow();
        await ended.Task.WaitAsync(Now);
        lease.End(LeaseEnd.Stopping);

        Assert.Equal((LeaseEnd)said, lease.Reason);
    }

    private LeaseKeeper Keep(Func<CancellationToken, Task<LeaseEnd>> renew)
    {
        var lease = new LeaseKeeper(renew, _clock.GetTimestamp(), Settings, NullLogger.Instance, _clock);
        // Its limit and its first pause.
        Assert.True(_clock.Timers.Wait(0, Now) && _clock.Timers.Wait(0, Now));
        return lease;
    }

    private static Task<LeaseEnd> Answer(SemaphoreSlim told, LeaseEnd answer)
    {
        told.Release();
        return Task.FromResult(answer);
    }

    /// <summary>Returns when the keeper's loop has set its next timer, so that the clock may move on.</summary>
    private Task SettledAsync() => _clock.Timers.WaitAsync(Now);

    private sealed class SignallingClock : FakeTimeProvider
    {
        public SemaphoreSlim Timers { get; } = new(0);

        public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
        {
            ITimer timer = base.CreateTimer(callback, state, dueTime, period);
            Timers.Release();
            return timer;
        }
    }
}
